#include "scheduler/rules/group_limit.h"

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

Broken find_full(const Candidate& candidate) {
    return find_broken(candidate, AffinityKind::limit,
                       [](const Broken& asked, const GroupFacts&) { return asked.members >= asked.limit; });
}

}  // namespace

bool GroupLimit::fits(const Candidate& candidate) const {
    return !find_full(candidate);
}

RuleVerdict GroupLimit::operator()(const Candidate& candidate) const {
    if (!has_groups(candidate.spec())) return accept("in no group");
    const Broken broken = find_full(candidate);
    if (!broken) return accept("below the limit of each of its groups");
    const std::string place = place_name(candidate, broken.scope);
    const int leave = broken.members - broken.limit + 1;
    const std::string who = leave == 1 ? first_at(candidate, *broken.group, broken.scope)
                                       : fmt::format("{} VMs of {}", leave, *broken.group);
    return fits_if(
        reject("{} holds {} VMs of group {}, its limit is {}", place, broken.members, *broken.group, broken.limit),
        fmt::format("{} {} {}", who, leave == 1 ? "leaves" : "leave", place));
}

}  // namespace ballast::scheduler
