#include "scheduler/rules/working_set_fit.h"

#include <algorithm>
#include <cmath>

#include "scheduler/rules/lower_minimum.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/memory_parts.h"

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
    const Bytes held = candidate.view.held_memory;
    Sum sum{.mean = held, .margin = {}, .most = held};
    double variance = 0;
    const auto add = [&](const MemoryDemand& demand) {
        const auto deviation = static_cast<double>(demand.deviation.count());
        sum.mean += demand.working_set;
        sum.most += demand.maximum;
        variance += deviation * deviation;
    };
    for_each_row(candidate.view, [&](const Vm& vm) { add(demand_there(candidate, vm)); });
    add(fresh_demand(candidate));
    sum.margin = Bytes(std::llround(quantile * std::sqrt(variance)));
    return sum;
}

bool outgrows(const Candidate& candidate, const Sum& sum) {
    return MemoryFit{}.fits(candidate) && sum.needed() > usable_memory(candidate.host());
}

bool is_measured(const Candidate& candidate) {
    return candidate.around.memory != nullptr && overcommits(candidate.host());
}

/// A lower minimum helps only where minimums are what does not fit: what a VM wants does not change with it.
std::string minimums_leave(const Candidate& candidate, Bytes missing) {
    const std::string leave = fmt::format("minimums of {} leave {}", missing, candidate.host().name);
    const auto lower = lower_minimum(candidate, missing);
    return lower ? fmt::format("{}, or {}", *lower, leave) : leave;
}

RuleVerdict in_words(const Candidate& candidate, const MemoryAnswer& answer) {
    if (answer.admitted) return accept("{}", answer.words);
    const std::string& host = candidate.host().name;
    if (answer.missing == Bytes(0)) return lacks_room(reject("{}", answer.words), host + " is out of danger");
    return lacks_room(reject("{}", answer.words),
                      answer.about_minimums ? minimums_leave(candidate, answer.missing)
                                            : fmt::format("working sets of {} leave {}", answer.missing, host));
}

}  // namespace

bool WorkingSetFit::fits(const Candidate& candidate) const {
    if (!is_measured(candidate)) return !outgrows(candidate, add_up(candidate));
    return !MemoryFit{}.fits(candidate) || measured(candidate)->admitted;
}

RuleVerdict WorkingSetFit::operator()(const Candidate& candidate) const {
    if (is_measured(candidate)) {
        if (!MemoryFit{}.fits(candidate)) return accept("the promises do not fit already");
        return in_words(candidate, *measured(candidate));
    }
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
