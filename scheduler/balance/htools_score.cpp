// hbal's score in two ways: term by term as hbal prints it, and as a levelling problem for the search. The tests hold
// them against each other. Metrics that no move of this planner can change (disks, spindles, reserved memory: their VMs
// stay) are a constant of the problem.

#include <cmath>
#include <map>

#include "scheduler/balance/htools.h"

namespace ballast::scheduler::balance {
namespace {

std::size_t pos(Index index) {
    return static_cast<std::size_t>(index);
}

/// What hbal keeps for a node, with the placements given.
struct NodeSums {
    std::int64_t free_memory = 0;
    std::int64_t vcpus = 0;
    std::int64_t spindles = 0;
    std::int64_t primaries = 0;
    std::int64_t secondaries = 0;
    std::map<Index, std::int64_t> peers;  ///< memory that the VMs of each primary would need here

    [[nodiscard]] std::int64_t reserved() const {
        std::int64_t most = 0;
        for (const auto& [primary, memory] : peers) most = std::max(most, memory);
        return most;
    }
    [[nodiscard]] bool fails() const { return free_memory <= reserved(); }
};

std::vector<NodeSums> node_sums(const HtoolsCluster& cluster, const Assignment& at) {
    std::vector<NodeSums> sums(cluster.nodes.size());
    for (std::size_t h = 0; h < sums.size(); ++h) {
        sums[h].free_memory = cluster.nodes[h].free_memory;
        sums[h].vcpus = cluster.nodes[h].node_cpus;
    }
    for (std::size_t i = 0; i < at.size(); ++i) {
        const auto& instance = cluster.instances[i];
        sums[pos(instance.primary)].free_memory += instance.memory;
        auto& primary = sums[pos(at[i])];
        primary.free_memory -= instance.memory;
        primary.vcpus += instance.vcpus;
        primary.primaries += 1;
        if (instance.local_disk) primary.spindles += instance.spindles;
        if (instance.secondary < 0) continue;
        auto& secondary = sums[pos(instance.secondary)];
        secondary.secondaries += 1;
        if (instance.local_disk) secondary.spindles += instance.spindles;
        if (instance.auto_balance) secondary.peers[at[i]] += instance.memory;
    }
    return sums;
}

/// The values of one statistic, node by node.
class Column {
  public:
    void add(double value) { values_.push_back(value); }
    [[nodiscard]] double sum() const {
        double sum = 0;
        for (const double value : values_) sum += value;
        return sum;
    }
    [[nodiscard]] double deviation() const {
        if (values_.empty()) return 0;
        const auto count = static_cast<double>(values_.size());
        const double mean = sum() / count;
        double squares = 0;
        for (const double value : values_) squares += (value - mean) * (value - mean);
        return std::sqrt(squares / count);
    }

  private:
    std::vector<double> values_;
};

double share(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

HostRow host_row(const HtoolsCluster& cluster, const HtoolsNode& node, const NodeSums& sums) {
    HostRow row;
    row.memory = node.free_memory;
    row.reserved = sums.reserved();
    row.guests = sums.secondaries;
    row.vcpus = node.node_cpus;
    row.vcpu_limit = static_cast<std::int64_t>(std::floor(cluster.vcpu_ratio * static_cast<double>(node.cpus)));
    row.counted = !node.offline;
    if (node.offline) return row;
    // Free memory with its sign turned: a deviation does not care, and loads add up.
    row.scale = {1.0 / static_cast<double>(node.total_memory), 1.0 / static_cast<double>(node.cpus), 1.0, 1.0};
    row.base[1] = static_cast<double>(node.node_cpus);
    row.base[3] = static_cast<double>(sums.secondaries);
    return row;
}

}  // namespace

std::vector<HtoolsMetric> htools_metrics(const HtoolsCluster& cluster, const Assignment& at) {
    const auto sums = node_sums(cluster, at);
    Column memory;
    Column disk;
    Column reserved;
    Column vcpus;
    Column load;
    Column disk_load;
    Column spindles;
    std::int64_t failing = 0;
    std::int64_t offline_all = 0;
    std::int64_t offline_primaries = 0;
    for (std::size_t h = 0; h < sums.size(); ++h) {
        const auto& node = cluster.nodes[h];
        const auto& sum = sums[h];
        if (node.offline) {
            offline_all += sum.primaries + sum.secondaries;
            offline_primaries += sum.primaries;
            continue;
        }
        if (sum.fails()) failing += sum.primaries + sum.secondaries;
        memory.add(share(sum.free_memory, node.total_memory));
        disk.add(share(node.free_disk, node.total_disk));
        reserved.add(share(sum.reserved(), node.total_memory));
        vcpus.add(share(sum.vcpus, node.cpus));
        load.add(static_cast<double>(sum.primaries));
        disk_load.add(static_cast<double>(sum.primaries + sum.secondaries));
        spindles.add(static_cast<double>(sum.spindles) / (cluster.spindle_ratio * static_cast<double>(node.spindles)));
    }
    return {{"free_mem_cv", .5, memory.deviation()},
            {"free_disk_cv", .5, disk.deviation()},
            {"n1_cnt", 1, static_cast<double>(failing)},
            {"reserved_mem_cv", 1, reserved.deviation()},
            {"offline_all_cnt", 4, static_cast<double>(offline_all)},
            {"offline_pri_cnt", 16, static_cast<double>(offline_primaries)},
            {"vcpu_ratio_cv", .5, vcpus.deviation()},
            {"cpu_load_cv", 1, load.deviation()},
            {"mem_load_cv", 1, load.deviation()},
            {"disk_load_cv", 1, disk_load.deviation()},
            {"net_load_cv", 1, load.deviation()},
            {"spindles_cv", .5, spindles.deviation()},
            {"free_mem_cv_forth", .5, memory.deviation()},
            {"free_disk_cv_forth", .5, disk.deviation()},
            {"vcpu_ratio_cv_forth", .5, vcpus.deviation()},
            {"spindles_cv_forth", .5, spindles.deviation()},
            {"reserved_mem_rtotal", .25, reserved.sum()}};
}

double htools_score(const HtoolsCluster& cluster, const Assignment& at) {
    double score = 0;
    for (const auto& metric : htools_metrics(cluster, at)) score += metric.weight * metric.value;
    return score;
}

Problem htools_problem(const HtoolsCluster& cluster) {
    const auto at = placements(cluster);
    const auto sums = node_sums(cluster, at);
    Problem problem;
    problem.metrics = 4;
    problem.weight = {1, 1, 3, 1};  // memory and vCPU ratio twice by half; CPU, memory and network load; disk load
    problem.stranded_price = 20;    // 4 of all and 16 of primaries
    for (std::size_t h = 0; h < sums.size(); ++h) problem.hosts.push_back(host_row(cluster, cluster.nodes[h], sums[h]));
    for (const auto& instance : cluster.instances) {
        VmRow vm{instance.memory, instance.vcpus, instance.primary, instance.movable, {}};
        vm.load = {static_cast<double>(instance.memory), static_cast<double>(instance.vcpus), 1, 1};
        problem.vms.push_back(vm);
        problem.hosts[pos(instance.primary)].memory += instance.memory;
    }
    for (auto& host : problem.hosts) host.base[0] = -static_cast<double>(host.memory);
    const double rest = htools_score(cluster, at) - full_score(problem, at);
    problem.constant = std::abs(rest) < 1e-9 ? 0 : rest;  // what is left of rounding is no part of the score
    return problem;
}

}  // namespace ballast::scheduler::balance
