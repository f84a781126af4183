#include "daemon/api/routes/types.h"

#include "core/json_impl.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(api::ClusterView)
BALLAST_INSTANTIATE_JSON(api::HostAdd)
BALLAST_INSTANTIATE_JSON(api::HostConfirmDead)
BALLAST_INSTANTIATE_JSON(api::QuarantineAsk)
BALLAST_INSTANTIATE_JSON(api::PairAsk)
BALLAST_INSTANTIATE_JSON(api::AdoptAsk)
BALLAST_INSTANTIATE_JSON(api::VmPatch)
BALLAST_INSTANTIATE_JSON(api::PlacementAsk)
BALLAST_INSTANTIATE_JSON(api::CapacityAsk)
BALLAST_INSTANTIATE_JSON(api::TokenAsk)
BALLAST_INSTANTIATE_JSON(api::TokenView)
BALLAST_INSTANTIATE_JSON(api::TokenMade)
BALLAST_INSTANTIATE_JSON(api::UploadView)
BALLAST_INSTANTIATE_JSON(api::PoolVolume)

}  // namespace ballast
