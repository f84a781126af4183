#pragma once
// The one place where the planner asks the ordinary rules of placement (rules/). Decides nothing of its own. Pure.

#include <vector>

#include "scheduler/host_view.h"
#include "scheduler/placement.h"

namespace ballast::scheduler::plan {

/// Every rule's word, in catalogue order.
[[nodiscard]] std::vector<RuleVerdict> judge_all(const Snapshot& snapshot, const PlacementRequest& request,
                                                 const HostView& view);
/// Whether none of them says no.
[[nodiscard]] bool all_accept(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view);
/// The same of a host as if nobody were there: what the rules say of VM and host alone.
[[nodiscard]] bool accept_when_empty(const Snapshot& snapshot, const PlacementRequest& request, const Host& host);

[[nodiscard]] std::size_t count_rules();

}  // namespace ballast::scheduler::plan
