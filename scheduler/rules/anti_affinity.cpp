#include "scheduler/rules/anti_affinity.h"

namespace ballast::scheduler {

RuleVerdict AntiAffinity::operator()(const Candidate& candidate) const {
    const std::string& group = candidate.spec().anti_affinity;
    if (group.empty()) return accept("in no group");
    const auto at = candidate.view.groups.find(group);
    if (at == candidate.view.groups.end()) return accept("no other VM of group {} here", group);
    return fits_if(reject("group {} is here already: {}", group, fmt::join(at->second, ", ")),
                   fmt::format("{} leaves {}", at->second.front(), candidate.host().name));
}

}  // namespace ballast::scheduler
