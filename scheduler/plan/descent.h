#pragma once
// Steepest descent from the worst hosts: each host that has something to lose is relieved by the best single move, else
// by the best exchange, else by an ejection chain (one VM drives another on to a third host), until nothing pays.
// Decides which of the looked-at steps is taken; a step is taken only if potential + price falls (field.h). Looks where
// it hurts: most hosts of a cluster have no contention, and steps drawn blindly would meet one of them.
//
// Pure: a function of field, seed and limits; `stop` may end it early, and then the field holds the best so far.

#include <optional>
#include <vector>

#include "scheduler/balance/random.h"
#include "scheduler/balance/search.h"
#include "scheduler/plan/field.h"

namespace ballast::scheduler::plan {

struct Limits {
    std::int64_t moves = std::numeric_limits<std::int64_t>::max();
    std::uint64_t effort = 0;  ///< steps that are looked at, at most
};

class Descent {
  public:
    Descent(Field& field, const balance::Random& random, const Limits& limits, const balance::Stop& stop);

    void run();
    /// Moves VMs off this host as long as that pays.
    void relieve(Index host);
    /// The targets that are looked at first for a VM of that host, the roomiest first.
    [[nodiscard]] std::vector<Index> likely_targets(Index host);
    [[nodiscard]] std::uint64_t looked_at() const { return looked_at_; }
    [[nodiscard]] bool cut() const { return cut_; }

  private:
    using Step = Field::Step;
    struct Offer {
        Step step;
        std::optional<Step> before;  ///< made first, to make room
        double change = 0;           ///< of potential + price; negative is better
    };

    [[nodiscard]] bool wanted(Index vm) const;
    [[nodiscard]] double need(Index host) const;
    [[nodiscard]] bool over();
    [[nodiscard]] bool within_moves(const Step& step) const;
    [[nodiscard]] double change_of(const Step& step);
    void offer(std::optional<Offer>& best, const Step& step);
    [[nodiscard]] std::optional<Offer> best_shift(Index host, const std::vector<Index>& targets);
    [[nodiscard]] std::optional<Offer> best_exchange(Index host, const std::vector<Index>& targets);
    [[nodiscard]] std::optional<Offer> best_chain(Index host, const std::vector<Index>& targets);
    [[nodiscard]] std::vector<Offer> blocked_shifts(Index host, const std::vector<Index>& targets);
    void offer_ejections(std::optional<Offer>& best, const Step& wanted);
    void make(const Offer& offer);

    Field& field_;
    balance::Random random_;
    Limits limits_;
    const balance::Stop& stop_;
    std::uint64_t looked_at_ = 0;
    std::uint64_t next_look_ = 0;
    bool cut_ = false;
};

}  // namespace ballast::scheduler::plan
