#include "daemon/jobs/params.h"

#include "core/json_impl.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(jobs::VmCreateParams)
BALLAST_INSTANTIATE_JSON(jobs::VmStartParams)
BALLAST_INSTANTIATE_JSON(jobs::VmShutdownParams)
BALLAST_INSTANTIATE_JSON(jobs::VmDeleteParams)
BALLAST_INSTANTIATE_JSON(jobs::VmMigrateParams)
BALLAST_INSTANTIATE_JSON(jobs::ImageImportParams)
BALLAST_INSTANTIATE_JSON(jobs::VolumeCreateParams)
BALLAST_INSTANTIATE_JSON(jobs::DeleteParams)
BALLAST_INSTANTIATE_JSON(jobs::NoParams)

}  // namespace ballast
