#include "scheduler/rules/spread.h"

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

Broken find_uneven(const Candidate& candidate) {
    return find_broken(candidate, AffinityKind::spread, [&](const Broken& asked, const GroupFacts& facts) {
        return asked.members + 1 - fewest_members(candidate.around.groups, facts, asked.scope) > asked.limit;
    });
}

}  // namespace

bool Spread::fits(const Candidate& candidate) const {
    return !find_uneven(candidate);
}

RuleVerdict Spread::operator()(const Candidate& candidate) const {
    if (!has_groups(candidate.spec())) return accept("in no group");
    const Broken broken = find_uneven(candidate);
    if (!broken) return accept("its groups stay evenly spread");
    const int least =
        fewest_members(candidate.around.groups, *candidate.around.groups.find(*broken.group), broken.scope);
    const std::string place = place_name(candidate, broken.scope);
    const int leave = broken.members + 1 - least - broken.limit;
    return fits_if(reject("{} would hold {} VMs of group {}, the emptiest {} holds {}; at most {} more are allowed",
                          place, broken.members + 1, *broken.group,
                          broken.scope == AffinityScope::host ? "host" : "zone", least, broken.limit),
                   leave <= broken.members
                       ? fmt::format("{} of its VMs {} {}", leave, leave == 1 ? "leaves" : "leave", place)
                       : std::string());
}

}  // namespace ballast::scheduler
