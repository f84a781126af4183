#pragma once
// The inventory as the planner's search sees it: flat rows with indices instead of ids, each VM with its demand and, if
// it may not move, with the reason. Decides who may be moved and what counts as load; never where to. Pure; points into
// the Snapshot it was made from; immutable once made, so that several searches may read it at once.

#include <string>
#include <vector>

#include "scheduler/balance/problem.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"
#include "scheduler/plan/planner.h"

namespace ballast::scheduler::plan {

using balance::Assignment;
using balance::Index;

[[nodiscard]] constexpr std::size_t pos(Index index) {
    return static_cast<std::size_t>(index);
}

/// A part of the stay in which every VM's mean is one number.
struct Slot {
    int hour = 0;        ///< of the day, UTC
    double seconds = 0;  ///< of the stay
};

struct HostRow {
    const Host* row = nullptr;
    double cores = 0;         ///< what VMs may use at once
    std::int64_t memory = 0;  ///< what may be promised, bytes
    std::int64_t kept = 0;    ///< promised to what is no VM of the model: claims, VMs in transition
    std::int64_t vcpus = 0;   ///< that may be promised
    std::int64_t vcpus_kept = 0;
    std::size_t kind = 0;         ///< index of VmRow::memory: kind_of
    bool target = false;          ///< may take VMs
    bool drained = false;         ///< to be emptied by request
    std::int64_t moves_left = 0;  ///< that may still touch it within the hour
    std::vector<Index> reach;     ///< targets to which moves from here passed their checks
};

struct VmRow {
    const Vm* row = nullptr;
    Index home = 0;
    bool movable = false;
    bool must_leave = false;               ///< its host is emptied, or a rule is broken where it is
    std::string pinned;                    ///< why it may not be moved
    std::array<std::int64_t, 4> memory{};  ///< that it is promised, with QEMU's own need, by kind of host
    std::int64_t squeezed = 0;             ///< so much less where memory is overcommitted
    std::int64_t vcpus = 0;
    Index apart = -1;           ///< VMs of one number never share a host: the group of spec.anti_affinity
    std::vector<Index> groups;  ///< all that it is a member of
    double cpu_variance = 0;
    double memory_mean = 0;  ///< of its working set, bytes
    double memory_variance = 0;
    std::vector<Index> left;  ///< hosts that it left within the window
};

struct Model {
    const Snapshot* snapshot = nullptr;
    std::shared_ptr<const ClusterLoad> load;
    PlanOptions options;
    std::vector<Slot> slots;
    double span = 0;             ///< seconds of all slots
    std::vector<double> cpu;     ///< mean cores, by VM, then by slot
    std::vector<HostRow> hosts;  ///< by name
    std::vector<VmRow> vms;
    std::vector<HostView> views;                  ///< of the hosts, all VMs counted
    Groups groups;                                ///< where the members of all groups are
    std::vector<std::pair<Index, Index>> barred;  ///< VM and target: tried, and no order led there

    [[nodiscard]] const double* cpu_of(Index vm) const { return cpu.data() + pos(vm) * slots.size(); }
    [[nodiscard]] std::int64_t memory_of(Index vm, Index host) const {
        return vms[pos(vm)].memory[hosts[pos(host)].kind];
    }
    [[nodiscard]] Assignment homes() const;
    [[nodiscard]] std::optional<Index> index_of(const HostId& id) const;
};

/// Hosts of one kind promise a VM the same.
[[nodiscard]] constexpr std::size_t kind_of(Accelerator accelerator, bool overcommitted) {
    return (accelerator == Accelerator::kvm ? 0U : 1U) + (overcommitted ? 2U : 0U);
}

/// Errors: invalid_argument (a load that is no number).
[[nodiscard]] Result<Model> make_model(const Snapshot& snapshot, const ClusterLoad& load,
                                       const std::vector<RecentMove>& recent, const PlanOptions& options);

/// Whether the goal is an operator's order rather than an improvement: then rates and windows bend.
[[nodiscard]] constexpr bool is_order(Goal goal) {
    return goal == Goal::evacuate || goal == Goal::repair;
}

/// As placement asks for a move of this VM from where it is now.
[[nodiscard]] PlacementRequest move_request(const Vm& vm, const HostId& from);

}  // namespace ballast::scheduler::plan
