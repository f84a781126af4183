#pragma once
// When the steps of a plan begin and end: each host has so many lanes out and in, and those at work share its link
// evenly. Decides nothing: a forecast of the whole from those of its parts. Pure.

#include <vector>

#include "scheduler/plan/cluster_plan.h"

namespace ballast::scheduler::plan {

/// Fills `begins` and `expected` of each step, whose `expected` is taken as its length on links of its own, and gives
/// the end of the last one.
Milliseconds schedule(std::vector<PlanStep>& steps, int lanes_per_host);

}  // namespace ballast::scheduler::plan
