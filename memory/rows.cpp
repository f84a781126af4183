// The one place where memory's types meet the JSON templates.
#include "core/json_impl.h"
#include "memory/control.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(memory::HostMemo)
BALLAST_INSTANTIATE_JSON(memory::Decisions)
BALLAST_INSTANTIATE_JSON(memory::HostLedger)
BALLAST_INSTANTIATE_JSON(memory::Admission)

}  // namespace ballast
