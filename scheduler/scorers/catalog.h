#pragma once
// Every scorer: what may make one host better than another that would do as well. A scorer is a stateless type with a
// name and a value from 0 (bad) to 1 (good) for one candidate; no text is made. A new scorer is one .h/.cpp here and
// one line in catalog.cpp. Pure.
//
// Where a VM wishes nothing, a scorer of wishes answers 1 for every host: so a request without its wishes never scores
// lower than with them (fleet/fleet.h builds on it).

#include <span>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct ScorerEntry {
    std::string_view name;
    double (*score)(const Candidate&);
    bool always = false;  ///< it has an answer for every VM (utilisation); the others are 1 where nothing is wished
};

[[nodiscard]] std::span<const ScorerEntry> scorer_catalog();

/// Of the utilisation after the placement, by the policy's weights: 1 - sqrt(sum of weight x (1 - value)^2 / scale).
/// Below 0 where wishes are broken.
[[nodiscard]] double score_of(const Candidate& candidate);
/// The same, scorer by scorer: those that count.
[[nodiscard]] std::vector<ScoreTerm> score_terms(const Candidate& candidate);

}  // namespace ballast::scheduler
