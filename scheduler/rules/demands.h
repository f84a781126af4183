#pragma once
// What a group demands where a VM would join it: its own words and those of the members that lie somewhere already.
// Shared by the rules about groups. Pure.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

/// Members in the candidate's host or zone.
[[nodiscard]] int members_at(const Candidate& candidate, std::string_view group, AffinityScope scope);
/// The fewest members that any place has which accepts work.
[[nodiscard]] int fewest_members(const Groups& groups, const GroupFacts& facts, AffinityScope scope);
/// "h1", "zone a" or "the hosts without a zone".
[[nodiscard]] std::string place_name(const Candidate& candidate, AffinityScope scope);
/// Names of the members there, at most a few of them.
[[nodiscard]] std::string names_at(const Candidate& candidate, std::string_view group, AffinityScope scope);
/// The one that would have to leave, by name.
[[nodiscard]] std::string first_at(const Candidate& candidate, std::string_view group, AffinityScope scope);

/// A demand that a candidate breaks. The group points into the VM's spec.
struct Broken {
    const std::string* group = nullptr;
    AffinityScope scope = AffinityScope::host;
    int limit = 0;
    int members = 0;  ///< there already

    explicit operator bool() const { return group != nullptr; }
};

/// The first demand of this kind that `breaks(broken, facts)` says is broken, by group, host before zone.
template <class Breaks>
[[nodiscard]] Broken find_broken(const Candidate& candidate, AffinityKind kind, Breaks breaks) {
    Broken found;
    for_each_group(candidate.spec(), [&](const std::string& group) {
        const GroupFacts* facts = candidate.around.groups.find(group);
        GroupDemand demand = demand_of(candidate.spec().anti_affinity, candidate.spec().placement, group);
        if (facts != nullptr) demand.add(facts->demand);
        for (const auto scope : {AffinityScope::host, AffinityScope::zone}) {
            const int limit = demand.at(kind, scope);
            if (found || limit == 0 || facts == nullptr) continue;
            const Broken asked{&group, scope, limit, members_at(candidate, group, scope)};
            if (breaks(asked, *facts)) found = asked;
        }
    });
    return found;
}

}  // namespace ballast::scheduler
