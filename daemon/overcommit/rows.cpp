// The one place where this folder's types meet the JSON templates.
#include "core/json_impl.h"
#include "daemon/overcommit/keeper.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(overcommit::Kept)

}  // namespace ballast
