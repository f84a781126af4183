#pragma once
// What if: hosts are lost, drained or added, VMs are added, the promise per core or the reserve changes? Makes the
// inventory as it would be, lets the rules and the planner answer on it, and says what the risk is. Pure: a function of
// a snapshot, so it works on the live cluster, on any past moment and on a file alike. It changes nothing anywhere.
//
// VMs of lost hosts restart one after the other, the largest first, where the rules put them; live moves of a drain are
// the planner's. In the plan's steps a lost or new VM "moves" from the host it was lost on, or from nowhere.

#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "scheduler/plan/planner.h"

namespace ballast::scheduler {

/// So many more of one that is there, by name.
struct MoreLike {
    std::string like;
    int count = 1;
    friend bool operator==(const MoreLike&, const MoreLike&) = default;
};
BOOST_DESCRIBE_STRUCT(MoreLike, (), (like, count))

struct NewVms {
    std::string like;  ///< a VM's name; empty: `spec`
    std::optional<VmSpec> spec;
    int count = 1;
    friend bool operator==(const NewVms&, const NewVms&) = default;
};
BOOST_DESCRIBE_STRUCT(NewVms, (), (like, spec, count))

/// Hosts by name, or all with a label: "rack=r2".
struct WhatIfAsk {
    std::vector<std::string> lose;
    std::vector<std::string> drain;
    std::vector<MoreLike> add_hosts;
    std::vector<NewVms> add_vms;
    std::optional<double> cpu_overcommit;  ///< of every host
    std::optional<Bytes> reserved_memory;  ///< of every host
    std::string policy;                    ///< a built-in one, by which VMs that name none are placed; empty: `spread`
    std::uint64_t seed = 1;
    friend bool operator==(const WhatIfAsk&, const WhatIfAsk&) = default;
};
BOOST_DESCRIBE_STRUCT(WhatIfAsk, (), (lose, drain, add_hosts, add_vms, cpu_overcommit, reserved_memory, policy, seed))

/// A host that has promised more than it may.
struct OverfullHost {
    std::string host;
    Bytes missing_memory;
    int missing_vcpus = 0;
    friend bool operator==(const OverfullHost&, const OverfullHost&) = default;
};
BOOST_DESCRIBE_STRUCT(OverfullHost, (), (host, missing_memory, missing_vcpus))

struct WhatIfAnswer {
    ClusterPlan plan;                     ///< restarts, new VMs and live moves; before: now, after: afterwards
    std::vector<PlanStay> not_restarted;  ///< VMs of lost hosts that no host takes
    std::vector<PlanStay> not_placed;     ///< new VMs that no host takes
    std::vector<PlanStay> not_drained;    ///< what stays on a drained host
    std::vector<OverfullHost> overfull;
    std::string weakest_host;  ///< whose loss afterwards would keep most VMs from running; empty: none would
    int weakest_loses = 0;     ///< so many
    int losses_tried = 0;      ///< hosts of which that was tried, the fullest first
    int losses_left = 0;       ///< hosts of which it was not
    friend bool operator==(const WhatIfAnswer&, const WhatIfAnswer&) = default;
};
BOOST_DESCRIBE_STRUCT(WhatIfAnswer, (),
                      (plan, not_restarted, not_placed, not_drained, overfull, weakest_host, weakest_loses,
                       losses_tried, losses_left))

/// `memory`: who measures what VMs want, asked of every host that overcommits memory; null: the rules' crude guess. It
/// knows nothing of hosts that are added: those keep the larger reserve of a host that is not seen.
/// `stop`: whether no more losses are to be tried; empty: never.
/// Errors: not_found (a host, a VM, a label that no host has), invalid_argument (nothing is asked, a number out of
/// range, a policy that there is not).
[[nodiscard]] Result<WhatIfAnswer> what_if(const Snapshot& snapshot, const ClusterLoad& load, const MoveCosts& costs,
                                           const WhatIfAsk& ask, Timestamp now,
                                           std::shared_ptr<const MemoryAdmission> memory = {},
                                           const balance::Stop& stop = {});

}  // namespace ballast::scheduler
