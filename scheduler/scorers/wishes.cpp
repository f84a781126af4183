#include "scheduler/scorers/wishes.h"

#include <algorithm>

#include "scheduler/rules/demands.h"

namespace ballast::scheduler {
namespace {

/// 1 / (1 + too many): every one more is worse.
double falling(int too_many) {
    return 1.0 / (1 + std::max(0, too_many));
}

double together(const GroupFacts& facts, int here) {
    return facts.members > 0 ? static_cast<double>(here) / facts.members : 1;
}

double value_of(const Candidate& candidate, const AffinityTerm& wish) {
    const GroupFacts* facts = candidate.around.groups.find(wish.group);
    if (facts == nullptr) return 1;
    const int here = members_at(candidate, wish.group, wish.scope);
    switch (wish.kind) {
        case AffinityKind::together:
            return together(*facts, here);
        case AffinityKind::apart:
            return falling(here);
        case AffinityKind::limit:
            return falling(here + 1 - wish.limit);
        case AffinityKind::spread:
            return falling(here + 1 - fewest_members(candidate.around.groups, *facts, wish.scope) - wish.limit);
    }
    std::unreachable();
}

}  // namespace

double Wishes::operator()(const Candidate& candidate) const {
    double sum = 0;
    int wishes = 0;
    for (const AffinityTerm& term : candidate.spec().placement.affinity) {
        if (term.strength != Strength::should) continue;
        sum += value_of(candidate, term);
        ++wishes;
    }
    return wishes > 0 ? sum / wishes : 1;
}

}  // namespace ballast::scheduler
