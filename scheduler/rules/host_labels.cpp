#include "scheduler/rules/host_labels.h"

#include <algorithm>

namespace ballast::scheduler {

bool HostLabels::fits(const Candidate& candidate) const {
    const auto& labels = candidate.host().settings.labels;
    return std::ranges::all_of(candidate.spec().host_labels, [&](const auto& wanted) {
        const auto at = labels.find(wanted.first);
        return at != labels.end() && at->second == wanted.second;
    });
}

RuleVerdict HostLabels::operator()(const Candidate& candidate) const {
    const auto& labels = candidate.host().settings.labels;
    for (const auto& [key, wanted] : candidate.spec().host_labels) {
        const auto at = labels.find(key);
        if (at != labels.end() && at->second == wanted) continue;
        const std::string change = fmt::format("{} is labelled {}={}", candidate.host().name, key, wanted);
        if (at == labels.end()) return fits_if(reject("has no label {} (wanted {})", key, wanted), change);
        return fits_if(reject("label {} is {} (wanted {})", key, at->second, wanted), change);
    }
    return accept("carries {} wanted labels", candidate.spec().host_labels.size());
}

}  // namespace ballast::scheduler
