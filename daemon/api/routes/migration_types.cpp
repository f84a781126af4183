#include "daemon/api/routes/migration_types.h"

#include "core/json_impl.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/evacuation.h"
#include "migration/accuracy.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(api::ForecastList)
BALLAST_INSTANTIATE_JSON(api::MigrationPlan)
BALLAST_INSTANTIATE_JSON(api::MigrationQueue)
BALLAST_INSTANTIATE_JSON(api::CompatibilityTable)
BALLAST_INSTANTIATE_JSON(api::TuneAsk)

namespace api {

#define BALLAST_MIGRATION_SCHEMA(Type)              \
    template <>                                     \
    Json schema<Type>(Json & definitions) {         \
        return json_schema_into<Type>(definitions); \
    }

BALLAST_MIGRATION_SCHEMA(migration::Accuracy)
BALLAST_MIGRATION_SCHEMA(ForecastList)
BALLAST_MIGRATION_SCHEMA(MigrationPlan)
BALLAST_MIGRATION_SCHEMA(MigrationQueue)
BALLAST_MIGRATION_SCHEMA(CompatibilityTable)
BALLAST_MIGRATION_SCHEMA(TuneAsk)
BALLAST_MIGRATION_SCHEMA(jobs::HostEvacuateParams)

}  // namespace api

}  // namespace ballast
