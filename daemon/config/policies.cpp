#include "daemon/config/policies.h"

#include <cmath>

#include "core/try.h"

namespace ballast::config {
namespace {

Result<double> read_weight(const Raw& raw) {
    double weight = -1;
    if (const auto* whole = std::get_if<std::int64_t>(&raw)) weight = static_cast<double>(*whole);
    if (const auto* real = std::get_if<double>(&raw)) weight = *real;
    if (std::isfinite(weight) && weight >= 0) return weight;
    return fail(Code::invalid_argument, "expected the weight of this scorer, a number from 0 up, but found {}",
                describe(raw));
}

}  // namespace

Result<void> set_policy_field(PlacementPolicy& policy, std::string_view key, const Raw& raw) {
    if (key == "name") {
        auto name = read_text(raw);
        if (!name) return fail(Code::invalid_argument, "placement.policies.name: {}", name.error().message());
        policy.name = *std::move(name);
        return {};
    }
    const auto weight = read_weight(raw);
    if (!weight) return fail(Code::invalid_argument, "placement.policies.{}: {}", key, weight.error().message());
    policy.weights[std::string(key)] = *weight;
    return {};
}

std::string render_policies(const PlacementConfig& config) {
    std::string out;
    for (const PlacementPolicy& policy : config.policies) {
        out += fmt::format("\n[[placement.policies]]\nname = {}\n", toml_text(policy.name));
        for (const auto& [scorer, weight] : policy.weights) out += fmt::format("{} = {}\n", scorer, weight);
    }
    return out;
}

std::string sample_policy() {
    return "\n# A policy of your own: scorers (docs/RULES.md) and their weights; one that is not named does not "
           "count.\n"
           "# [[placement.policies]]\n# name = \"night\"\n# packing = 1.0\n# page_sharing = 0.5\n# wishes = 4.0\n";
}

}  // namespace ballast::config
