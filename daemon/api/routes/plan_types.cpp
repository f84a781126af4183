#include "daemon/api/routes/plan_types.h"

#include "core/json_impl.h"
#include "daemon/api/schemas.h"

namespace ballast::api {

#define BALLAST_PLAN_SCHEMA(Type)                   \
    template <>                                     \
    Json schema<Type>(Json & definitions) {         \
        return json_schema_into<Type>(definitions); \
    }

BALLAST_PLAN_SCHEMA(jobs::PlanAsk)
BALLAST_PLAN_SCHEMA(scheduler::ClusterLoad)
BALLAST_PLAN_SCHEMA(scheduler::WhatIfAsk)
BALLAST_PLAN_SCHEMA(scheduler::WhatIfAnswer)

}  // namespace ballast::api
