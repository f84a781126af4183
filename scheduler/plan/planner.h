#pragma once
// The planner: from an inventory and its load to a plan (cluster_plan.h), for each of the goals. Decides which moves
// pay for themselves and in which order they are safe; never moves anything. Pure: time, seed, threads (`run_all`) and
// the end of its time budget (`stop`) are arguments; the same ones give the same plan.
//
// One currency, seconds: a move's gain is the contention that it relieves over the VM's expected stay, its cost is the
// migration's (transfer time x share of the link, downtime, brown-out). A move that does not pay by a margin is not
// made, so a potential falls with every plan and no VM goes back and forth.

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "scheduler/balance/plan.h"
#include "scheduler/placement.h"
#include "scheduler/plan/cluster_plan.h"
#include "scheduler/plan/load.h"

namespace ballast::scheduler {

/// What a migration would cost, as migration/forecast.h says (the caller asks it: siblings do not include each other).
struct MoveCost {
    Milliseconds total{0};
    Milliseconds downtime{0};
    Milliseconds brown_out{0};
    Bytes bytes;
    bool possible = true;  ///< false: no mode is within its policy
    std::string reason;    ///< why not
};
using MoveCosts = std::function<MoveCost(const Vm& vm, const HostId& from, const HostId& to)>;

/// A move that was made lately: no VM returns to a host within the window, and nobody is moved again and again.
struct RecentMove {
    VmId vm;
    HostId from;
    HostId to;
    Timestamp at;
    bool by_ballast = true;  ///< false: somebody else moves this VM, and Ballast stands back
};

struct PlanOptions {
    Goal goal = Goal::level;
    std::vector<HostId> hosts;  ///< evacuate: these; level: only these are relieved; empty: all
    std::optional<VmSpec> big;  ///< defragment: what is to fit afterwards
    std::optional<int> max_moves;
    Seconds stay{3600};           ///< over which a gain is counted
    double margin = 1.2;          ///< gain / cost that a move must reach at least
    Seconds no_return{6 * 3600};  ///< within which a VM does not go back to a host it left
    int moves_per_vm_hour = 1;
    int moves_per_host_hour = 8;
    int warm_spares = 1;     ///< consolidate: empty hosts that stay powered
    bool n_plus_one = true;  ///< what holds before (any one host's loss can be absorbed) must hold throughout
    int lanes_per_host = 2;  ///< migrations at once, for the times
    std::uint64_t seed = 1;
    std::uint64_t effort = 0;  ///< 0: what a cluster of this size deserves
    Timestamp now;
    std::shared_ptr<const MemoryAdmission> memory = {};  ///< asked of each step where memory is overcommitted
};

/// Errors: invalid_argument naming the option (a budget of 0, a weight that is no number, a host that is unknown).
[[nodiscard]] Result<ClusterPlan> plan_cluster(const Snapshot& snapshot, const ClusterLoad& load,
                                               const std::vector<RecentMove>& recent, const MoveCosts& costs,
                                               const PlanOptions& options, const balance::RunAll& run_all,
                                               const balance::Stop& stop);

/// Whether the step may still be made on the rows of this moment: the VM is where the plan has it, unchanged, and the
/// target takes it by every rule, with what is known of VMs now (placement.h, check_claim). Errors: failed_precondition
/// or resource_exhausted with what has changed.
[[nodiscard]] Result<void> check_step(const Snapshot& snapshot, const ClusterPlan& plan, const PlanStep& step,
                                      const Preferences& preferences = {});

}  // namespace ballast::scheduler
