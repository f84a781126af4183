#pragma once
// A plan of moves for people: the table of its steps with reason, gain and cost, what stays and why, and the cluster
// before and after. From the JSON that the API and the pure planner give alike. Pure.

#include <string>

#include "core/json.h"

namespace ballast::cli {

/// `plan` is a scheduler::ClusterPlan. `width` 0: nothing is cut.
[[nodiscard]] std::string plan_text(const Json& plan, std::size_t width, bool colours);
/// What became of its steps: a jobs::RebalanceResult.
[[nodiscard]] std::string rebalance_text(const Json& result);
/// "410 s", "2.5 h": seconds that may be a fraction.
[[nodiscard]] std::string seconds_text(double seconds);
/// "63 %" of 0.63
[[nodiscard]] std::string share_text(double share);

}  // namespace ballast::cli
