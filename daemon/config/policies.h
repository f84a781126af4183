#pragma once
// [[placement.policies]]: policies of the cluster's own, by which hosts are compared. Like [[migration.label]] the file
// alone can set them. Whether a scorer exists is not known here (daemon/policies.h). Pure.

#include <string>
#include <string_view>

#include "daemon/config/config.h"
#include "daemon/config/values.h"

namespace ballast::config {

/// `name`, or the weight of a scorer. Errors: invalid_argument (wrong type, negative or no number).
[[nodiscard]] Result<void> set_policy_field(PlacementPolicy& policy, std::string_view key, const Raw& raw);

/// The tables as TOML; empty where there are none.
[[nodiscard]] std::string render_policies(const PlacementConfig& config);
/// How to write one, commented out, for the sample file.
[[nodiscard]] std::string sample_policy();

}  // namespace ballast::config
