#include "scheduler/rules/affinity.h"

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

bool settled_here(const Candidate& candidate, const Broken& asked, const GroupFacts& facts) {
    if (asked.scope == AffinityScope::host) return facts.by_host.contains(candidate.host().id);
    const auto at = facts.by_zone.find(zone_of(candidate.host()));
    return at != facts.by_zone.end() && at->second.settled > 0;
}

Broken find_elsewhere(const Candidate& candidate) {
    return find_broken(candidate, AffinityKind::together, [&](const Broken& asked, const GroupFacts& facts) {
        return facts.settled > 0 && !settled_here(candidate, asked, facts);
    });
}

/// Where the group is: its hosts by name, or its zones.
std::string where(const Candidate& candidate, const Broken& broken) {
    const GroupFacts& facts = *candidate.around.groups.find(*broken.group);
    std::vector<std::string> places;
    if (broken.scope == AffinityScope::host) {
        for (const auto& [host, members] : facts.by_host)
            places.push_back(fmt::format("{} on {}", members, host_name(candidate.snapshot, host)));
    } else {
        for (const auto& [zone, count] : facts.by_zone)
            if (count.settled > 0) places.push_back(fmt::format("{} in zone {}", count.settled, zone));
    }
    return fmt::format("{}", fmt::join(places, ", "));
}

}  // namespace

bool Affinity::fits(const Candidate& candidate) const {
    return !find_elsewhere(candidate);
}

RuleVerdict Affinity::operator()(const Candidate& candidate) const {
    if (!has_groups(candidate.spec())) return accept("in no group");
    const Broken broken = find_elsewhere(candidate);
    if (!broken) return accept("with its groups that keep together");
    const GroupFacts& facts = *candidate.around.groups.find(*broken.group);
    return fits_if(reject("group {} keeps together and is elsewhere: {}", *broken.group, where(candidate, broken)),
                   facts.settled == 1 ? fmt::format("the other VM of {} moves to {}", *broken.group,
                                                    place_name(candidate, broken.scope))
                                      : fmt::format("the {} other VMs of {} move to {}", facts.settled, *broken.group,
                                                    place_name(candidate, broken.scope)));
}

}  // namespace ballast::scheduler
