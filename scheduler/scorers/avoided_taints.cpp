#include "scheduler/scorers/avoided_taints.h"

#include <algorithm>

namespace ballast::scheduler {

double AvoidedTaints::operator()(const Candidate& candidate) const {
    const auto unborne = std::ranges::count_if(candidate.host().settings.taints, [&](const Taint& taint) {
        return taint.effect == TaintEffect::avoid && !tolerates(candidate.spec().placement, taint);
    });
    return 1.0 / static_cast<double>(1 + unborne);
}

}  // namespace ballast::scheduler
