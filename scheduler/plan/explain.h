#pragma once
// A plan in words and numbers: what the cluster is like before and after, why each step is made, why VMs stay that the
// goal would move, and the verdict in one sentence. Decides nothing. Pure.

#include <map>
#include <string>
#include <vector>

#include "scheduler/plan/cluster_plan.h"
#include "scheduler/plan/goals.h"
#include "scheduler/plan/order.h"

namespace ballast::scheduler::plan {

/// What the goal's search leaves behind.
struct Outcome {
    const Model& model;
    Ledger& ledger;
    const std::vector<Move>& moves;
    const std::map<Index, std::string>& broken;  ///< before, by VM
    const Aim& aim;
    const std::optional<Spare>& spare;
};

/// Fills everything of the plan but its times, seed and number.
void explain(const Outcome& outcome, ClusterPlan& plan);

}  // namespace ballast::scheduler::plan
