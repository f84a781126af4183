#include "daemon/policies.h"

namespace ballast::daemon {

Result<scheduler::Policies> policies_of(const config::PlacementConfig& config) {
    scheduler::Policies policies;
    policies.standard = config.policy;
    for (const config::PlacementPolicy& own : config.policies) {
        scheduler::Policy policy{.name = own.name, .weights = own.weights};
        if (const auto sound = scheduler::check(policy); !sound)
            return fail(Code::invalid_argument, "[[placement.policies]]: {}", sound.error().message());
        policies.own.push_back(std::move(policy));
    }
    if (const auto known = policies.find(""); !known)
        return fail(Code::invalid_argument, "placement.policy: {}; or add it as [[placement.policies]]",
                    known.error().message());
    return policies;
}

std::optional<scheduler::NPlusOne> n_plus_one_of(const config::PlacementConfig& config) {
    if (config.n_plus_one == config::NPlusOneMode::off) return {};
    const bool must = config.n_plus_one == config::NPlusOneMode::must;
    return scheduler::NPlusOne{.strength = must ? Strength::must : Strength::should,
                               .group_label = config.n_plus_one_group};
}

}  // namespace ballast::daemon
