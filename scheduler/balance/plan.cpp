#include "scheduler/balance/plan.h"

#include "scheduler/balance/state.h"

namespace ballast::scheduler::balance {
namespace {

constexpr std::size_t window = 256;  ///< moves among which the best is chosen next
using Cluster = State<metrics_max>;

class Orderer {
  public:
    Orderer(const Problem& problem, const Assignment& target, std::size_t limit)
        : target_(target),
          hosts_(static_cast<Index>(problem.hosts.size())),
          limit_(limit),
          state_(problem, homes(problem)) {
        for (std::size_t i = 0; i < target.size(); ++i)
            if (target[i] != problem.vms[i].home) waiting_.push_back(static_cast<Index>(i));
        detoured_.assign(target.size(), false);
    }

    std::vector<Move> run() {
        const double before = state_.score();
        while (!waiting_.empty() && moves_.size() < limit_)
            if (!make_best() && !make_detour()) break;
        if (!waiting_.empty()) keep_best_part(before);
        return std::move(moves_);
    }

  private:
    [[nodiscard]] Index target_of(Index vm) const { return target_[static_cast<std::size_t>(vm)]; }

    void make(Index vm, Index to) {
        const Index from = state_.host_of(vm);
        state_.make_shift(vm, to);
        moves_.push_back({vm, from, to, state_.score()});
    }

    /// The best of the first window in which any fits.
    bool make_best() {
        for (std::size_t start = 0; start < waiting_.size(); start += window) {
            const auto end = std::min(waiting_.size(), start + window);
            std::optional<std::size_t> best;
            double best_score = 0;
            for (std::size_t i = start; i < end; ++i) {
                const auto step = state_.shift(waiting_[i], target_of(waiting_[i]));
                if (!state_.fits(step)) continue;
                const double score = state_.score_after(step);
                if (best && score >= best_score) continue;
                best = i;
                best_score = score;
            }
            if (!best) continue;
            make(waiting_[*best], target_of(waiting_[*best]));
            waiting_[*best] = waiting_.back();
            waiting_.pop_back();
            return true;
        }
        return false;
    }

    /// All that wait, wait for each other: one of them makes room by going where most memory is free.
    bool make_detour() {
        if (moves_.size() + waiting_.size() + 1 > limit_) return false;
        for (const Index vm : waiting_) {
            if (detoured_[static_cast<std::size_t>(vm)]) continue;
            std::optional<Index> roomiest;
            for (Index host = 0; host < hosts_; ++host) {
                if (host == state_.host_of(vm) || !state_.fits(state_.shift(vm, host))) continue;
                if (!roomiest || state_.free_memory(host) > state_.free_memory(*roomiest)) roomiest = host;
            }
            if (!roomiest) continue;
            detoured_[static_cast<std::size_t>(vm)] = true;
            make(vm, *roomiest);
            return true;
        }
        return false;
    }

    void keep_best_part(double before) {
        std::size_t best = 0;
        double best_score = before;
        for (std::size_t i = 0; i < moves_.size(); ++i) {
            if (moves_[i].score_after >= best_score) continue;
            best_score = moves_[i].score_after;
            best = i + 1;
        }
        moves_.resize(best);
    }

    const Assignment& target_;
    Index hosts_;
    std::size_t limit_;
    Cluster state_;
    std::vector<Index> waiting_;
    std::vector<bool> detoured_;  ///< once is enough: then the plan ends
    std::vector<Move> moves_;
};

}  // namespace

void run_in_turn(std::size_t count, const std::function<void(std::size_t)>& chain) {
    for (std::size_t i = 0; i < count; ++i) chain(i);
}

std::vector<Move> order_moves(const Problem& problem, const Assignment& target,
                              const std::optional<std::int64_t>& max_moves) {
    const auto limit = max_moves ? static_cast<std::size_t>(std::max<std::int64_t>(0, *max_moves))
                                 : std::numeric_limits<std::size_t>::max() / 2;
    return Orderer(problem, target, limit).run();
}

Plan plan_rebalance(const Problem& problem, const SearchOptions& options, const RunAll& run_all, const Stop& stop) {
    std::vector<Found> found(std::max<std::size_t>(1, options.chains));
    run_all(found.size(), [&](std::size_t chain) { found[chain] = run_chain(problem, options, chain, stop); });
    Plan plan;
    plan.at = homes(problem);
    plan.score_before = plan.score_after = full_score(problem, plan.at);
    plan.moves = order_moves(problem, best_of(found, options.price).at, options.max_moves);
    for (const auto& move : plan.moves) plan.at[static_cast<std::size_t>(move.vm)] = move.to;
    plan.score_after = full_score(problem, plan.at);
    plan.lower_bound = lower_bound(problem, options.max_moves);
    for (const auto& chain : found) {
        plan.candidates += chain.candidates;
        plan.cut = plan.cut || chain.cut;
    }
    return plan;
}

}  // namespace ballast::scheduler::balance
