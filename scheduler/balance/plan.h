#pragma once
// From a problem to a plan: the search, then an order of the moves in which every single step is possible (a full host
// is emptied before it is filled; where moves wait for each other in a circle, one VM takes a temporary place), and a
// lower bound that no plan can pass. Decides; never moves anything. Pure: whoever calls gives the threads (`run_all`)
// and the clock (`stop`).

#include <functional>
#include <optional>
#include <vector>

#include "scheduler/balance/problem.h"
#include "scheduler/balance/search.h"

namespace ballast::scheduler::balance {

struct Move {
    Index vm = 0;
    Index from = 0;
    Index to = 0;
    double score_after = 0;  ///< of the whole cluster
    friend bool operator==(const Move&, const Move&) = default;
};

struct Plan {
    std::vector<Move> moves;  ///< in the order in which they fit
    Assignment at;            ///< when all are made
    double score_before = 0;
    double score_after = 0;
    double lower_bound = 0;
    std::uint64_t candidates = 0;
    bool cut = false;  ///< the search was stopped before its end: another run may find another plan
};

/// Calls the function with 0 to count - 1, in any order or at once, and returns when all are done.
using RunAll = std::function<void(std::size_t count, const std::function<void(std::size_t)>&)>;
/// One after the other.
void run_in_turn(std::size_t count, const std::function<void(std::size_t)>& chain);

[[nodiscard]] Plan plan_rebalance(const Problem& problem, const SearchOptions& options, const RunAll& run_all,
                                  const Stop& stop);

/// The moves from the VMs' homes to `target`, no more of them than `max_moves`. Where no order leads there, as far as
/// it goes with the best score on the way.
[[nodiscard]] std::vector<Move> order_moves(const Problem& problem, const Assignment& target,
                                            const std::optional<std::int64_t>& max_moves);

/// No assignment within that many moves scores lower. It counts VMs that cannot all leave lost hosts, and VMs that are
/// whole and so cannot be spread evenly; of sizes that differ it claims nothing, so that the truth may lie higher.
[[nodiscard]] double lower_bound(const Problem& problem, const std::optional<std::int64_t>& max_moves);

}  // namespace ballast::scheduler::balance
