// The one place where migration's types meet the JSON templates.
#include "core/json_impl.h"
#include "migration/accuracy.h"
#include "migration/forecast.h"
#include "migration/machine.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(migration::MigrationMemo)
BALLAST_INSTANTIATE_JSON(migration::DirtyCurve)
BALLAST_INSTANTIATE_JSON(migration::Forecast)
BALLAST_INSTANTIATE_JSON(migration::ModeForecast)
BALLAST_INSTANTIATE_JSON(migration::Accuracy)
BALLAST_INSTANTIATE_JSON(migration::Outcome)

}  // namespace ballast
