#include "scheduler/rules/taints.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>

namespace ballast::scheduler {
namespace {

const Taint* find_unborne(const Candidate& candidate) {
    const auto& taints = candidate.host().settings.taints;
    const auto at = std::ranges::find_if(taints, [&](const Taint& taint) {
        return taint.effect != TaintEffect::avoid && !tolerates(candidate.spec().placement, taint);
    });
    return at != taints.end() ? &*at : nullptr;
}

std::string in_words(const Taint& taint) {
    return fmt::format("{}{}{}:{}", taint.key, taint.value.empty() ? "" : "=", taint.value,
                       boost::describe::enum_to_string(taint.effect, ""));
}

}  // namespace

bool Taints::fits(const Candidate& candidate) const {
    return find_unborne(candidate) == nullptr;
}

RuleVerdict Taints::operator()(const Candidate& candidate) const {
    const auto& taints = candidate.host().settings.taints;
    if (const Taint* taint = find_unborne(candidate))
        return fits_if(reject("has the taint {}, which the VM does not bear", in_words(*taint)),
                       fmt::format("the VM tolerates {}", in_words(*taint)));
    return accept("{} taints, none in the way", taints.size());
}

}  // namespace ballast::scheduler
