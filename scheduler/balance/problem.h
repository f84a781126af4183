#pragma once
// A levelling problem as flat arrays: hosts, VMs, and what is to be spread evenly over the hosts. Holds what the search
// (search.h) needs for one step and nothing else: no names, no rows. Decides nothing. Pure; immutable once made, so
// several threads may read it at once.
//
// The objective is  constant + sum over metrics of weight * standard deviation of that metric over the counted hosts
// + stranded_price for each VM on a host that is not counted + 1 for each VM on a host that could not restart its
// peers (free memory at or below what is reserved there). A metric is linear: a host's value is its base plus the sum
// of its VMs' loads, times the host's scale. Less is better.
//
// Memory is in MiB and bare: the arrays are read hundreds of millions of times, the units end at the importer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ballast::scheduler::balance {

using Index = std::int32_t;

inline constexpr std::size_t metrics_max = 8;
using MetricRow = std::array<double, metrics_max>;

struct HostRow {
    std::int64_t memory = 0;    ///< free when no VM of the problem is there
    std::int64_t reserved = 0;  ///< kept for the VMs that would restart there
    std::int64_t vcpu_limit = std::numeric_limits<std::int64_t>::max();
    std::int64_t vcpus = 0;   ///< taken by what is no VM of the problem
    std::int64_t guests = 0;  ///< VMs that count there without running there (replicas)
    bool counted = true;      ///< in the statistics, and a target; else its VMs are stranded
    MetricRow base{};
    MetricRow scale{};  ///< all 0 where the host is not counted
};

struct VmRow {
    std::int64_t memory = 0;
    std::int64_t vcpus = 0;
    Index home = 0;  ///< where it runs now
    bool movable = true;
    MetricRow load{};
};

struct Problem {
    std::size_t metrics = 0;  ///< how many of the columns are in use; the others are 0
    MetricRow weight{};
    double constant = 0;
    double stranded_price = 0;
    std::vector<HostRow> hosts;
    std::vector<VmRow> vms;

    [[nodiscard]] Index counted_hosts() const {
        Index counted = 0;
        for (const auto& host : hosts) counted += host.counted ? 1 : 0;
        return counted;
    }
};

/// Where each VM runs, by its index.
using Assignment = std::vector<Index>;

[[nodiscard]] inline Assignment homes(const Problem& problem) {
    Assignment at;
    at.reserve(problem.vms.size());
    for (const auto& vm : problem.vms) at.push_back(vm.home);
    return at;
}

/// The objective, computed from nothing. Slow and plain: what the incremental state is checked against.
[[nodiscard]] double full_score(const Problem& problem, const Assignment& at);

}  // namespace ballast::scheduler::balance
