// The one place where the scheduler's types meet the JSON templates.
#include "core/json_impl.h"
#include "scheduler/batch.h"
#include "scheduler/capacity.h"
#include "scheduler/placement.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(scheduler::PlacementRequest)
BALLAST_INSTANTIATE_JSON(scheduler::Capacity)
BALLAST_INSTANTIATE_JSON(scheduler::Decision)
BALLAST_INSTANTIATE_JSON(scheduler::BatchDecision)
BALLAST_INSTANTIATE_JSON(scheduler::HostVerdict)

}  // namespace ballast
