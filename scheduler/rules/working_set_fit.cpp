#include "scheduler/rules/working_set_fit.h"

#include <algorithm>
#include <cmath>

#include "scheduler/memory_demand.h"
#include "scheduler/rules/memory_fit.h"

namespace ballast::scheduler {
namespace {

/// Working sets stay within the memory 99 times of 100: the normal distribution's quantile.
constexpr double risk_per_cent = 1;
constexpr double quantile = 2.326;

/// The sum of independent working sets, as a mean and what must be kept for its variation.
struct Sum {
    Bytes mean;
    Bytes margin;
    Bytes most;  ///< no guest has more than its maximum

    [[nodiscard]] Bytes needed() const { return std::min(mean + margin, most); }
};

Sum add_up(const Candidate& candidate) {
    Sum sum{};
    double variance = 0;
    const auto add = [&](const VmSpec& spec, const VmId& id) {
        const MemoryDemand demand = memory_demand(spec, candidate.host(), load_of(candidate.around.load, id));
        const auto deviation = static_cast<double>(demand.deviation.count());
        sum.mean += demand.working_set;
        sum.most += demand.maximum;
        variance += deviation * deviation;
    };
    for (const Vm* vm : candidate.view.vms) add(vm->spec, vm->id);
    const Bytes others = saturating_sub(candidate.view.promised_memory, sum.most);  // claims and caches: all of it
    sum.mean += others;
    sum.most += others;
    add(candidate.spec(), candidate.request.vm);
    sum.margin = Bytes(std::llround(quantile * std::sqrt(variance)));
    return sum;
}

bool outgrows(const Candidate& candidate, const Sum& sum) {
    return MemoryFit{}.fits(candidate) && sum.needed() > usable_memory(candidate.host());
}

}  // namespace

bool WorkingSetFit::fits(const Candidate& candidate) const {
    return !outgrows(candidate, add_up(candidate));
}

RuleVerdict WorkingSetFit::operator()(const Candidate& candidate) const {
    const Sum sum = add_up(candidate);
    const Host& host = candidate.host();
    const Bytes usable = usable_memory(host);
    if (!outgrows(candidate, sum))
        return accept("working sets of {} and {} for their variation, of {}", sum.mean, sum.margin, usable);
    const Bytes missing = sum.needed() - usable;
    return lacks_room(reject("working sets of {} and {} for their variation (at {} % risk) outgrow {}", sum.mean,
                             sum.margin, risk_per_cent, usable),
                      fmt::format("working sets of {} leave {}", missing, host.name));
}

}  // namespace ballast::scheduler
