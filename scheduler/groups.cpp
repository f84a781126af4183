#include "scheduler/groups.h"

#include <algorithm>

namespace ballast::scheduler {

void GroupDemand::lower(AffinityKind kind, AffinityScope scope, int limit) {
    int& least = least_[std::to_underlying(kind)][std::to_underlying(scope)];
    if (limit > 0 && (least == 0 || limit < least)) least = limit;
}

void GroupDemand::add(const AffinityTerm& term) {
    if (term.strength != Strength::must) return;
    const bool counts = term.kind == AffinityKind::limit || term.kind == AffinityKind::spread;
    lower(term.kind, term.scope, counts ? term.limit : 1);
}

void GroupDemand::add(const GroupDemand& other) {
    for (const auto kind : {AffinityKind::together, AffinityKind::apart, AffinityKind::limit, AffinityKind::spread})
        for (const auto scope : {AffinityScope::host, AffinityScope::zone}) lower(kind, scope, other.at(kind, scope));
}

bool has_groups(const VmSpec& spec) {
    return !spec.anti_affinity.empty() || !spec.placement.groups.empty() || !spec.placement.affinity.empty();
}

bool is_member(const VmSpec& spec, std::string_view group) {
    return (!spec.anti_affinity.empty() && spec.anti_affinity == group) ||
           std::ranges::find(spec.placement.groups, group) != spec.placement.groups.end() ||
           std::ranges::find(spec.placement.affinity, group, &AffinityTerm::group) != spec.placement.affinity.end();
}

GroupDemand demand_of(const std::string& anti_affinity, const VmPlacement& placement, std::string_view group) {
    GroupDemand demand;
    if (!anti_affinity.empty() && anti_affinity == group) demand.add(AffinityTerm{.group = {}});
    for (const AffinityTerm& term : placement.affinity)
        if (term.group == group) demand.add(term);
    return demand;
}

}  // namespace ballast::scheduler
