// The lower bound. Of a metric in which all VMs weigh the same and all hosts are alike (so many VMs a host), the best
// that any number of moves reaches is found exactly: lost hosts' VMs go to the emptiest hosts, then VMs go from the
// fullest to the emptiest, one by one (a separable convex function: the steepest steps are the best ones).

#include <cmath>
#include <set>

#include "scheduler/balance/plan.h"

namespace ballast::scheduler::balance {
namespace {

struct Level {
    double value = 0;  ///< in VMs
    std::int64_t movable = 0;
    friend bool operator<(const Level& a, const Level& b) { return a.value < b.value; }
};
using Levels = std::multiset<Level>;

/// Hosts alike and VMs alike in this metric; also gives the value of one VM.
std::optional<double> unit_of(const Problem& problem, std::size_t metric) {
    std::optional<double> scale;
    for (const auto& host : problem.hosts) {
        if (!host.counted) continue;
        if (scale.value_or(host.scale[metric]) != host.scale[metric]) return {};
        scale = host.scale[metric];
    }
    for (const auto& vm : problem.vms)
        if (vm.load[metric] != problem.vms.front().load[metric]) return {};
    if (problem.vms.empty() || !scale || problem.vms.front().load[metric] == 0) return {};
    return problem.vms.front().load[metric] * *scale;
}

Levels levels_of(const Problem& problem, std::size_t metric) {
    std::vector<Level> rows(problem.hosts.size());
    const double load = problem.vms.front().load[metric];
    for (std::size_t h = 0; h < rows.size(); ++h) rows[h].value = problem.hosts[h].base[metric] / load;
    for (const auto& vm : problem.vms) {
        auto& row = rows[static_cast<std::size_t>(vm.home)];
        row.value += 1;
        row.movable += vm.movable ? 1 : 0;
    }
    Levels levels;
    for (std::size_t h = 0; h < rows.size(); ++h)
        if (problem.hosts[h].counted) levels.insert(rows[h]);
    return levels;
}

void add_to_lowest(Levels& levels) {
    auto lowest = levels.extract(levels.begin());
    lowest.value().value += 1;
    lowest.value().movable += 1;
    levels.insert(std::move(lowest));
}

/// False where no VM's leaving makes it more even. A host without movable VMs stays as it is: it only receives.
bool level_once(Levels& levels) {
    for (auto highest = std::prev(levels.end());; --highest) {
        if (highest->value - levels.begin()->value <= 1) return false;
        if (highest->movable > 0) {
            auto node = levels.extract(highest);
            node.value().value -= 1;
            node.value().movable -= 1;
            levels.insert(std::move(node));
            add_to_lowest(levels);
            return true;
        }
        if (highest == levels.begin()) return false;
    }
}

double deviation(const Levels& levels) {
    const auto count = static_cast<double>(levels.size());
    double mean = 0;
    for (const auto& level : levels) mean += level.value / count;
    double squares = 0;
    for (const auto& level : levels) squares += (level.value - mean) * (level.value - mean);
    return std::sqrt(squares / count);
}

}  // namespace

double lower_bound(const Problem& problem, const std::optional<std::int64_t>& max_moves) {
    std::int64_t stranded = 0;
    std::int64_t leaving = 0;
    for (const auto& vm : problem.vms) {
        if (problem.hosts[static_cast<std::size_t>(vm.home)].counted) continue;
        stranded += 1;
        leaving += vm.movable ? 1 : 0;
    }
    const auto limit = max_moves.value_or(std::numeric_limits<std::int64_t>::max());
    leaving = std::min(leaving, limit);
    double bound = problem.constant + problem.stranded_price * static_cast<double>(stranded - leaving);
    if (problem.counted_hosts() == 0) return bound;

    // A VM that leaves a lost host shifts a deviation by at most (1 + sqrt 2) VMs / sqrt(hosts), a move spent on it
    // included. Where that outweighs its price, leaving it there might be better, and nothing is claimed.
    double even = 0;
    double slack = 0;
    const double root = std::sqrt(static_cast<double>(problem.counted_hosts()));
    for (std::size_t k = 0; k < problem.metrics; ++k) {
        const auto unit = unit_of(problem, k);
        if (!unit) continue;
        auto levels = levels_of(problem, k);
        for (std::int64_t i = 0; i < leaving; ++i) add_to_lowest(levels);
        for (std::int64_t i = leaving; i < limit && level_once(levels); ++i) {
        }
        even += problem.weight[k] * std::abs(*unit) * deviation(levels);
        slack += problem.weight[k] * std::abs(*unit) * (1 + std::sqrt(2.0)) / root;
    }
    return leaving == 0 || problem.stranded_price >= slack ? bound + even : bound;
}

}  // namespace ballast::scheduler::balance
