#pragma once
// The one place where the planner asks the ordinary rules of placement (rules/). Decides nothing of its own. Pure.

#include <vector>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler::plan {

/// Every rule's word, in catalogue order.
[[nodiscard]] std::vector<RuleVerdict> judge_all(const Candidate& candidate);
/// Whether none of them says no.
[[nodiscard]] bool all_accept(const Candidate& candidate);
/// The same of a host as if there were no other VM: what the rules say of VM and host alone.
[[nodiscard]] bool accept_when_empty(const Snapshot& snapshot, const PlacementRequest& request, const Host& host);

[[nodiscard]] std::size_t count_rules();

}  // namespace ballast::scheduler::plan
