#include "scheduler/rules/anti_affinity.h"

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

Broken find_neighbour(const Candidate& candidate) {
    return find_broken(candidate, AffinityKind::apart,
                       [](const Broken& asked, const GroupFacts&) { return asked.members > 0; });
}

}  // namespace

bool AntiAffinity::fits(const Candidate& candidate) const {
    return !find_neighbour(candidate);
}

RuleVerdict AntiAffinity::operator()(const Candidate& candidate) const {
    if (!has_groups(candidate.spec())) return accept("in no group");
    const Broken broken = find_neighbour(candidate);
    if (!broken) return accept("no other VM here of a group that keeps apart");
    const std::string place = place_name(candidate, broken.scope);
    const std::string change =
        broken.members == 1 ? fmt::format("{} leaves {}", first_at(candidate, *broken.group, broken.scope), place)
                            : fmt::format("its {} VMs leave {}", broken.members, place);
    const std::string names = names_at(candidate, *broken.group, broken.scope);
    if (broken.scope == AffinityScope::host)
        return fits_if(reject("group {} is here already: {}", *broken.group, names), change);
    return fits_if(reject("group {} is in {} already: {}", *broken.group, place, names), change);
}

}  // namespace ballast::scheduler
