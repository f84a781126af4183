#include "scheduler/rules/spread.h"

#include <algorithm>

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

/// The fewest members that any place has which accepts work.
int fewest(const Groups& groups, const GroupFacts& facts, AffinityScope scope) {
    if (scope == AffinityScope::host) {
        if (std::ssize(facts.by_host) < groups.hosts) return 0;
        const auto at = std::ranges::min_element(facts.by_host, {}, [](const auto& entry) { return entry.second; });
        return at != facts.by_host.end() ? at->second : 0;
    }
    int least = groups.zones.empty() ? 0 : facts.members;
    for (const auto& [zone, hosts] : groups.zones) {
        const auto at = facts.by_zone.find(zone);
        least = std::min(least, at != facts.by_zone.end() ? at->second.members : 0);
    }
    return least;
}

Broken find_uneven(const Candidate& candidate) {
    return find_broken(candidate, AffinityKind::spread, [&](const Broken& asked, const GroupFacts& facts) {
        return asked.members + 1 - fewest(candidate.around.groups, facts, asked.scope) > asked.limit;
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
    const int least = fewest(candidate.around.groups, *candidate.around.groups.find(*broken.group), broken.scope);
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
