#pragma once
// What the planner's tests share: clusters whose hosts all reach each other, loads, and a forecast of costs.

#include <string>
#include <vector>

#include "scheduler/plan/planner.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {

inline const Timestamp midnight{std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)};

/// Hosts h1 to hN of that many cores and GiB, all of whose pairs passed their checks.
[[nodiscard]] inline test::ClusterBuilder hosts_alike(int count, int cores = 8, int memory_gib = 16) {
    auto cluster = test::a_cluster();
    for (int i = 1; i <= count; ++i) {
        const std::string name = "h" + std::to_string(i);
        cluster.with(test::a_host(name).cpus(cores).memory(gibibytes(memory_gib)));
        for (int j = 1; j <= count; ++j)
            if (i != j) cluster.with(test::a_pair(name, "h" + std::to_string(j)));
    }
    return cluster;
}

[[nodiscard]] inline test::VmBuilder vm_on(const std::string& name, const std::string& host, int vcpus = 4,
                                           int memory_mib = 1024) {
    return test::a_vm(name).vcpus(vcpus).memory(mebibytes(memory_mib)).on(host).running();
}

[[nodiscard]] inline VmLoad busy(double cores, double deviation = 0) {
    VmLoad load;
    load.cpu_mean = cores;
    load.cpu_deviation = deviation;
    return load;
}

/// Every move takes that long, on the whole link.
[[nodiscard]] inline MoveCosts moves_take(Milliseconds total) {
    return [total](const Vm&, const HostId&, const HostId&) {
        MoveCost cost;
        cost.total = total;
        return cost;
    };
}

[[nodiscard]] inline PlanOptions options_for(Goal goal) {
    PlanOptions options;
    options.goal = goal;
    options.now = midnight;
    return options;
}

/// A planner's whole input, to be varied by a test.
struct Ask {
    Snapshot snapshot;
    ClusterLoad load;
    std::vector<RecentMove> recent;
    MoveCosts costs = moves_take(Milliseconds(10'000));
    PlanOptions options = options_for(Goal::level);

    [[nodiscard]] Result<ClusterPlan> plan(const balance::Stop& stop = {}) const {
        return plan_cluster(snapshot, load, recent, costs, options, balance::run_in_turn, stop);
    }
};

/// The snapshot with the VM where the step brings it.
inline void carry_out(Snapshot& snapshot, const PlanStep& step) {
    Vm vm = *snapshot.vms.find(step.vm);
    for (Definition& definition : vm.definitions)
        if (definition.host == step.from) definition.host = step.to;
    vm.host = step.to;
    snapshot.vms.put(std::move(vm));
}

}  // namespace ballast::scheduler
