#pragma once
// Why VMs stay that the goal would move: pinned, refused by the rules everywhere, or not worth it in seconds. Decides
// nothing. Pure.

#include <map>
#include <string>
#include <vector>

#include "scheduler/plan/cluster_plan.h"
#include "scheduler/plan/field.h"
#include "scheduler/plan/replay.h"

namespace ballast::scheduler::plan {

class Stays {
  public:
    /// `field` and `replay` as the plan leaves them.
    Stays(const Model& model, Ledger& ledger, const Field& field, const Replay& replay);

    /// `broken`: what VMs that are where they were still break.
    [[nodiscard]] std::vector<PlanStay> of_goal(const std::map<Index, std::string>& broken);
    /// "nothing worth moving: …", of the move that came nearest. After of_goal().
    [[nodiscard]] std::string best_refused() const;

  private:
    /// A move that would be possible, and is not made.
    struct Offer {
        double gain = 0;
        double cost = 0;
        Index to = 0;
    };

    void add(Index vm, std::string reason);
    void of_level();
    void of_drained();
    void of_pinned_alone();
    [[nodiscard]] std::string why(Index vm);
    [[nodiscard]] std::optional<Offer> best_offer(Index vm);
    [[nodiscard]] std::string why_nowhere(Index vm) const;

    const Model& model_;
    Ledger& ledger_;
    const Field& field_;
    const Replay& replay_;
    std::vector<PlanStay> stays_;
    std::optional<Offer> nearest_;
    std::size_t explained_ = 0;
};

}  // namespace ballast::scheduler::plan
