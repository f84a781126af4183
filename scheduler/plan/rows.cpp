// The one place where the planner's types meet the JSON templates.
#include "core/json_impl.h"
#include "scheduler/plan/cluster_plan.h"
#include "scheduler/plan/load.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(scheduler::ClusterPlan)
BALLAST_INSTANTIATE_JSON(scheduler::ClusterLoad)

}  // namespace ballast
