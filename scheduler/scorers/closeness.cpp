#include "scheduler/scorers/closeness.h"

namespace ballast::scheduler {

double Closeness::operator()(const Candidate& candidate) const {
    double near = 0;
    int members = 0;
    for_each_group(candidate.spec(), [&](const std::string& group) {
        const GroupFacts* facts = candidate.around.groups.find(group);
        if (facts == nullptr) return;
        members += facts->members;
        const auto rack = facts->by_rack.find(rack_of(candidate.host()));
        const auto zone = facts->by_zone.find(zone_of(candidate.host()));
        if (rack != facts->by_rack.end()) near += 0.5 * rack->second;
        if (zone != facts->by_zone.end()) near += 0.5 * zone->second.members;
    });
    return members > 0 ? near / members : 1;
}

}  // namespace ballast::scheduler
