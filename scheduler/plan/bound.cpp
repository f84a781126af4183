#include "scheduler/plan/bound.h"

#include <algorithm>
#include <cmath>

namespace ballast::scheduler::plan {
namespace {

double excess(double mean, double variance, double capacity) {
    const double deviation = std::sqrt(variance);
    if (deviation <= 0) return std::max(0.0, mean - capacity);
    return deviation * normal_loss((capacity - mean) / deviation);
}

/// Demand that was put together, against the capacity it has.
struct Pool {
    std::vector<double> cpu;
    double cpu_variance = 0;
    double memory_mean = 0;
    double memory_variance = 0;
    double cores = 0;
    double memory = 0;
    double stall = 0;  ///< cores that wait for each byte that is missing, at least

    void add(const Model& model, Index vm) {
        const VmRow& row = model.vms[pos(vm)];
        for (std::size_t s = 0; s < cpu.size(); ++s) cpu[s] += model.cpu_of(vm)[s];
        cpu_variance += row.cpu_variance;
        memory_mean += row.memory_mean;
        memory_variance += row.memory_variance;
    }

    [[nodiscard]] double waits(const Model& model) const {
        double sum = 0;
        for (std::size_t s = 0; s < cpu.size(); ++s)
            sum += model.slots[s].seconds * excess(cpu[s], cpu_variance, cores);
        return sum + model.span * stall * excess(memory_mean, memory_variance, memory);
    }
};

double stall_of(const HostRow& host) {
    return host.memory > 0 ? host.cores * memory_stall / static_cast<double>(host.memory) : 0;
}

double pooled(const Model& model) {
    Pool pool;
    pool.cpu.assign(model.slots.size(), 0.0);
    pool.stall = std::numeric_limits<double>::infinity();
    for (const HostRow& host : model.hosts) {
        pool.cores += host.cores;
        pool.memory += static_cast<double>(host.memory);
        pool.stall = std::min(pool.stall, stall_of(host));
    }
    for (std::size_t vm = 0; vm < model.vms.size(); ++vm) pool.add(model, static_cast<Index>(vm));
    return model.hosts.empty() ? 0 : pool.waits(model);
}

double immovable(const Model& model) {
    std::vector<Pool> pools(model.hosts.size());
    for (std::size_t h = 0; h < pools.size(); ++h) {
        pools[h].cpu.assign(model.slots.size(), 0.0);
        pools[h].cores = model.hosts[h].cores;
        pools[h].memory = static_cast<double>(model.hosts[h].memory);
        pools[h].stall = stall_of(model.hosts[h]);
    }
    for (std::size_t vm = 0; vm < model.vms.size(); ++vm)
        if (!model.vms[vm].movable) pools[pos(model.vms[vm].home)].add(model, static_cast<Index>(vm));
    double sum = 0;
    for (const Pool& pool : pools) sum += pool.waits(model);
    return sum;
}

}  // namespace

double lower_bound(const Model& model) {
    return std::max(pooled(model), immovable(model));
}

}  // namespace ballast::scheduler::plan
