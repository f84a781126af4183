#include "memory/admission.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace ballast::memory {
namespace {

std::string percent(double share) {
    if (share > 0 && share < 0.00005) return "below 0.01 %";
    return fmt::format("{:.2f} %", share * 100);
}

std::string p99_words(const Admission& made) {
    if (made.left_at_p99 < Bytes(0)) return fmt::format("p99 demand lacks {}", Bytes(0) - made.left_at_p99);
    return fmt::format("p99 demand leaves {}", made.left_at_p99);
}

}  // namespace

Admission assess(std::span<const Demand> there, const AdmissionTerms& terms) {
    const DemandSum sum(there, terms.model);
    const Bytes physical = saturating_sub(terms.capacity, terms.held);
    const Bytes can_give = physical + terms.sharing;
    Admission made;
    made.risk = made.risk_before = sum.exceeds_within_horizon(can_give);
    made.p99 = sum.at_most(0.01);
    made.left_at_p99 = can_give - made.p99;
    made.minimums = sum.minimums();
    if (made.minimums > physical) {
        made.verdict = AdmissionVerdict::minimums;
        made.missing = made.minimums - physical;
        made.words = fmt::format("guaranteed minimums of {} do not fit {}: {} are missing", made.minimums, physical,
                                 made.missing);
        return made;
    }
    made.words = fmt::format("{}; {}", p99_words(made), percent(made.risk));
    if (made.risk <= terms.risk) return made;
    made.verdict = AdmissionVerdict::risk;
    made.missing = saturating_sub(sum.capacity_for(terms.risk), can_give);
    made.words += fmt::format(", more than {}: {} are missing", percent(terms.risk), made.missing);
    return made;
}

Admission admit(std::span<const Demand> there, const Demand& fresh, const AdmissionTerms& terms) {
    std::vector<Demand> all(there.begin(), there.end());
    const DemandSum before(there, terms.model);
    all.push_back(fresh);
    Admission made = assess(all, terms);
    made.risk_before = before.exceeds_within_horizon(saturating_sub(terms.capacity, terms.held) + terms.sharing);
    return made;
}

}  // namespace ballast::memory
