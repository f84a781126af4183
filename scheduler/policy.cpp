#include "scheduler/policy.h"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

#include "core/json.h"
#include "core/try.h"
#include "scheduler/scorers/catalog.h"

namespace ballast::scheduler {
namespace {

std::vector<std::string> scorer_names() {
    std::vector<std::string> names;
    for (const ScorerEntry& scorer : scorer_catalog()) names.emplace_back(scorer.name);
    return names;
}

Result<void> check_weight(const Policy& policy, const std::string& scorer, double weight) {
    if (const auto known = scorer_names(); std::ranges::find(known, scorer) == known.end()) {
        const std::string near = nearest(scorer, known);
        return fail(Code::invalid_argument, "policy {}: there is no scorer '{}'; {}", policy.name, scorer,
                    near.empty() ? fmt::format("known are {}", fmt::join(known, ", "))
                                 : fmt::format("did you mean '{}'?", near));
    }
    if (std::isfinite(weight) && weight >= 0) return {};
    return fail(Code::invalid_argument, "policy {}: the weight of {} is {}; give a number from 0 up", policy.name,
                scorer, weight);
}

}  // namespace

const std::vector<Policy>& built_in_policies() {
    static const std::vector<Policy> policies{
        {"spread",
         {{"memory_left", 1},
          {"vcpus_left", 1},
          {"load_left", 1},
          {"contention", 1},
          {"wishes", 4},
          {"avoided_taints", 4},
          {"redundancy", 4}}},
        {"pack",
         {{"packing", 1},
          {"room_for_big", 1},
          {"page_sharing", 0.5},
          {"contention", 2},
          {"wishes", 4},
          {"avoided_taints", 4},
          {"redundancy", 4}}},
        {"latency",
         {{"vcpus_left", 1},
          {"memory_left", 0.5},
          {"load_left", 2},
          {"contention", 4},
          {"closeness", 2},
          {"wishes", 4},
          {"avoided_taints", 4},
          {"redundancy", 4}}},
        {"power",
         {{"packing", 1}, {"power", 3}, {"contention", 2}, {"wishes", 4}, {"avoided_taints", 4}, {"redundancy", 4}}}};
    return policies;
}

Result<void> check(const Policy& policy) {
    if (policy.name.empty()) return fail(Code::invalid_argument, "a policy has no name; give it one");
    double sum = 0;
    for (const auto& [scorer, weight] : policy.weights) {
        BALLAST_CHECK(check_weight(policy, scorer, weight));
        sum += weight;
    }
    if (sum > 0) return {};
    return fail(Code::invalid_argument, "policy {}: no weight is above 0, so no host would be better than another",
                policy.name);
}

Result<const Policy*> Policies::find(std::string_view name) const {
    const std::string_view wanted = name.empty() ? std::string_view(standard) : name;
    std::vector<std::string> known;
    for (const auto* list : {&own, &built_in_policies()})
        for (const Policy& policy : *list) {
            if (policy.name == wanted) return &policy;
            known.push_back(policy.name);
        }
    return fail(Code::invalid_argument, "there is no placement policy '{}'; there are {}", wanted,
                fmt::join(known, ", "));
}

Weights::Weights() {
    static const Weights spread(built_in_policies().front());
    *this = spread;
}

Weights::Weights(const Policy& policy) {
    double sum = 0;
    double always = 0;
    const auto scorers = scorer_catalog();
    for (std::size_t i = 0; i < scorers.size(); ++i) {
        const auto at = policy.weights.find(std::string(scorers[i].name));
        if (at == policy.weights.end()) continue;
        of_[i] = at->second;
        sum += at->second;
        if (scorers[i].always) always += at->second;
    }
    scale_ = always > 0 ? always : std::max(sum, 1e-9);
}

}  // namespace ballast::scheduler
