#include "scheduler/scorers/cpu_demand.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ballast::scheduler {
namespace {

/// What a vCPU uses of a core where nothing is known (plan/load.h).
constexpr double unknown_use = 0.5;
/// And how that varies: it may as well be idle or busy.
constexpr double unknown_deviation = 0.5;
constexpr std::size_t hours = 24;

double mean_of(const VmLoad* load, int vcpus) {
    return load != nullptr ? load->cpu_mean : unknown_use * vcpus;
}

}  // namespace

double usable_cores(const Host& host) {
    return std::max(0, host.settings.cpu_capacity.value_or(host.facts.cpus) - host.settings.reserved_cpus);
}

template <class Visit>
void CpuDemand::for_each_vm(Visit visit) const {
    const auto& known = candidate_.around.load->vms;
    const auto load_of = [&](const VmId& id) {
        const auto at = known.find(id);
        return at != known.end() ? &at->second : nullptr;
    };
    int counted = 0;
    for (const Vm* vm : candidate_.view.vms) {
        visit(load_of(vm->id), vm->spec.vcpus);
        counted += vm->spec.vcpus;
    }
    if (candidate_.view.promised_vcpus > counted) visit(nullptr, candidate_.view.promised_vcpus - counted);
    visit(load_of(candidate_.request.vm), candidate_.spec().vcpus);
}

double CpuDemand::mean() const {
    double sum = 0;
    for_each_vm([&](const VmLoad* load, int vcpus) { sum += mean_of(load, vcpus); });
    return sum;
}

double CpuDemand::mean_at(std::size_t hour) const {
    double sum = 0;
    for_each_vm([&](const VmLoad* load, int vcpus) {
        const bool daily = load != nullptr && load->cpu_by_hour.size() == hours;
        sum += daily ? load->cpu_by_hour[hour] : mean_of(load, vcpus);
    });
    return sum;
}

double CpuDemand::deviation() const {
    double variance = 0;
    for_each_vm([&](const VmLoad* load, int vcpus) {
        const double deviation = load != nullptr ? load->cpu_deviation : unknown_deviation * std::sqrt(vcpus);
        variance += deviation * deviation;
    });
    return std::sqrt(variance);
}

double expected_excess(double mean, double deviation, double capacity) {
    if (deviation <= 0) return std::max(0.0, mean - capacity);
    const double z = (capacity - mean) / deviation;
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
    const double above = std::erfc(z / std::numbers::sqrt2) / 2;
    return std::max(0.0, deviation * (density - z * above));
}

}  // namespace ballast::scheduler
