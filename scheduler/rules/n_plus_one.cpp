#include "scheduler/rules/n_plus_one.h"

#include "scheduler/redundancy.h"

namespace ballast::scheduler {
namespace {

std::optional<HostId> find_exposed(const Candidate& candidate) {
    Redundancy* redundancy = candidate.around.redundancy;
    if (redundancy == nullptr || redundancy->wanted().strength != Strength::must) return std::nullopt;
    return redundancy->exposed_by(candidate.host(), candidate.spec());
}

}  // namespace

bool NPlusOneRule::fits(const Candidate& candidate) const {
    return !find_exposed(candidate);
}

RuleVerdict NPlusOneRule::operator()(const Candidate& candidate) const {
    const Redundancy* redundancy = candidate.around.redundancy;
    if (redundancy == nullptr) return accept("not asked for");
    if (redundancy->wanted().strength != Strength::must) return accept("only a wish: the score counts it");
    const auto exposed = find_exposed(candidate);
    if (!exposed) return accept("the loss of any one host can be absorbed as before");
    const std::string change = "other hosts of the group have more room";
    if (*exposed == candidate.host().id)
        return lacks_room(reject("if it failed, the others would not have room for its VMs and this one"), change);
    return lacks_room(
        reject("takes the room that the VMs of {} would need if that failed", host_name(candidate.snapshot, *exposed)),
        change);
}

}  // namespace ballast::scheduler
