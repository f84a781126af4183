#pragma once
// From a better assignment to moves in an order in which each single one is possible and pays: full hosts are emptied
// before they are filled, where moves wait for each other in a circle one VM takes a temporary place, what does not pay
// is dropped, and the whole is replayed by the ordinary rules (replay.h). Decides order and omission; never a target.
// Pure.

#include <vector>

#include "scheduler/plan/field.h"
#include "scheduler/plan/replay.h"

namespace ballast::scheduler::plan {

struct Move {
    Index vm = 0;
    Index from = 0;
    Index to = 0;
    bool temporary = false;
    double gain = 0;   ///< contention that it relieves where it stands in the order, seconds over the stay
    double worth = 0;  ///< the same of the whole potential: orders included
    double cost = 0;   ///< seconds (ledger.h)
    MoveCost forecast;
    StepProof proof;
    std::vector<int> after;  ///< indices of moves that must have ended before
};

struct Ordered {
    std::vector<Move> moves;
    std::vector<std::pair<Index, Index>> stuck;     ///< VM and target: no order leads there
    [[nodiscard]] double net(double margin) const;  ///< worth less price, seconds
};

/// Moves that are of use only together (a host that is emptied): by VM, -1 for one that stands for itself.
using Bundles = std::vector<Index>;

/// The moves from the VMs' homes to `target`, with proofs; some are left out where no order leads there, where they do
/// not pay in their place, where their bundle is broken, or where N+1 would not outlive them.
[[nodiscard]] Ordered order_moves(const Model& model, Ledger& ledger, const Assignment& target, const Bundles& bundles,
                                  const std::optional<Spare>& spare);

}  // namespace ballast::scheduler::plan
