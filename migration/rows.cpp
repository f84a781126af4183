// The one place where migration's types meet the JSON templates.
#include "core/json_impl.h"
#include "migration/machine.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(migration::MigrationMemo)

}  // namespace ballast
