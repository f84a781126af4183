#include "migration/policy.h"

#include "core/try.h"

namespace ballast::migration {
namespace {

bool demands_post_copy(ModeChoice mode) {
    return mode == ModeChoice::post_copy || mode == ModeChoice::hybrid;
}

MigrationPolicy standing_policy(const VmSpec& spec, const PolicyDefaults& defaults) {
    MigrationPolicy policy = spec.migration;
    for (const LabelPolicy& label : defaults.labels) {
        const auto found = spec.labels.find(label.key);
        if (found != spec.labels.end() && found->second == label.value) policy = layered(policy, label.policy);
    }
    return layered(policy, defaults.defaults);
}

MigrationTerms closed(const MigrationPolicy& policy) {
    MigrationTerms terms;
    terms.max_downtime = policy.max_downtime.value_or(terms.max_downtime);
    terms.max_total = policy.max_total;
    terms.post_copy = policy.post_copy.value_or(terms.post_copy);
    terms.bandwidth = policy.bandwidth;
    terms.post_copy_bandwidth = policy.post_copy_bandwidth;
    terms.max_throttle = policy.max_throttle.value_or(terms.max_throttle);
    terms.priority = policy.priority.value_or(terms.priority);
    return terms;
}

}  // namespace

MigrationPolicy layered(const MigrationPolicy& upper, const MigrationPolicy& lower) {
    const auto either = [](const auto& first, const auto& second) { return first ? first : second; };
    return {.max_downtime = either(upper.max_downtime, lower.max_downtime),
            .max_total = either(upper.max_total, lower.max_total),
            .post_copy = either(upper.post_copy, lower.post_copy),
            .bandwidth = either(upper.bandwidth, lower.bandwidth),
            .post_copy_bandwidth = either(upper.post_copy_bandwidth, lower.post_copy_bandwidth),
            .max_throttle = either(upper.max_throttle, lower.max_throttle),
            .priority = either(upper.priority, lower.priority)};
}

Result<MigrationTerms> resolve_terms(const MigrationPolicy& request, ModeChoice mode, std::optional<Timestamp> deadline,
                                     const VmSpec& spec, const PolicyDefaults& defaults, Timestamp now) {
    BALLAST_CHECK(check(request, "policy"));
    if (deadline && *deadline <= now)
        return fail(Code::invalid_argument, "deadline: it has passed already; name a time to come, or leave it out");
    const MigrationPolicy standing = standing_policy(spec, defaults);
    const bool allowed = request.post_copy.value_or(standing.post_copy.value_or(demands_post_copy(mode)));
    if (demands_post_copy(mode) && !allowed)
        return fail(Code::failed_precondition,
                    "mode: post-copy is asked for, but the policy forbids it; set policy.post_copy in the request, or "
                    "migration.post_copy of the VM");
    MigrationTerms terms = closed(layered(request, standing));
    terms.post_copy = allowed;
    terms.deadline = deadline;
    return terms;
}

}  // namespace ballast::migration
