#include "scheduler/balance/problem.h"

#include <cmath>

namespace ballast::scheduler::balance {
namespace {

double deviation(const std::vector<double>& values) {
    if (values.empty()) return 0;
    double mean = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / static_cast<double>(values.size()));
}

/// What the VMs on one host add up to.
struct Sums {
    std::int64_t memory = 0;
    std::int64_t guests = 0;
    MetricRow load{};
};

std::vector<Sums> sums_of(const Problem& problem, const Assignment& at) {
    std::vector<Sums> sums(problem.hosts.size());
    for (std::size_t i = 0; i < problem.vms.size(); ++i) {
        auto& sum = sums[static_cast<std::size_t>(at[i])];
        sum.memory += problem.vms[i].memory;
        sum.guests += 1;
        for (std::size_t k = 0; k < problem.metrics; ++k) sum.load[k] += problem.vms[i].load[k];
    }
    return sums;
}

}  // namespace

double full_score(const Problem& problem, const Assignment& at) {
    const auto sums = sums_of(problem, at);
    double score = problem.constant;
    for (std::size_t h = 0; h < sums.size(); ++h) {
        const auto& host = problem.hosts[h];
        if (!host.counted)
            score += problem.stranded_price * static_cast<double>(sums[h].guests);
        else if (host.memory - sums[h].memory <= host.reserved)
            score += static_cast<double>(sums[h].guests + host.guests);
    }
    for (std::size_t k = 0; k < problem.metrics; ++k) {
        std::vector<double> values;
        for (std::size_t h = 0; h < sums.size(); ++h) {
            const auto& host = problem.hosts[h];
            if (host.counted) values.push_back((host.base[k] + sums[h].load[k]) * host.scale[k]);
        }
        score += problem.weight[k] * deviation(values);
    }
    return score;
}

}  // namespace ballast::scheduler::balance
