#pragma once
// The placement policies that the configuration describes, as the scheduler takes them. Pure.

#include <optional>

#include "daemon/config/config.h"
#include "scheduler/placement.h"

namespace ballast::daemon {

/// Errors: invalid_argument naming policy and scorer (a scorer that there is not, a weight that is negative or no
/// number, a policy without weights, a standard policy that there is not).
[[nodiscard]] Result<scheduler::Policies> policies_of(const config::PlacementConfig& config);

/// What placement is to make of N+1; nothing where it is off.
[[nodiscard]] std::optional<scheduler::NPlusOne> n_plus_one_of(const config::PlacementConfig& config);

}  // namespace ballast::daemon
