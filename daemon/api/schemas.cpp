#include "daemon/api/schemas.h"

#include "core/json_impl.h"
#include "core/snapshot.h"
#include "daemon/api/routes/types.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/reservations.h"
#include "scheduler/batch.h"
#include "scheduler/capacity.h"
#include "scheduler/placement.h"

namespace ballast::api {

template <class T>
Json schema(Json& definitions) {
    return json_schema_into<T>(definitions);
}

template <class T>
Json list_schema(Json& definitions) {
    const Json items{{"type", "array"}, {"items", json_schema_into<T>(definitions)}};
    return Json{{"type", "object"}, {"required", {"items"}}, {"properties", {{"items", items}}}};
}

template <class T>
Json page_schema(Json& definitions) {
    Json page = list_schema<T>(definitions);
    page["required"].push_back("next");
    page["properties"]["next"] = {{"type", {"string", "null"}},
                                  {"description", "`after` of the next page; null on the last."}};
    return page;
}

#define BALLAST_ROW_SCHEMA(Type)            \
    template Json schema<Type>(Json&);      \
    template Json list_schema<Type>(Json&); \
    template Json page_schema<Type>(Json&);

BALLAST_ROW_SCHEMA(Host)
BALLAST_ROW_SCHEMA(Vm)
BALLAST_ROW_SCHEMA(Pool)
BALLAST_ROW_SCHEMA(Volume)
BALLAST_ROW_SCHEMA(Image)
BALLAST_ROW_SCHEMA(HostPair)
BALLAST_ROW_SCHEMA(Job)
BALLAST_ROW_SCHEMA(Migration)
BALLAST_ROW_SCHEMA(Plan)
BALLAST_ROW_SCHEMA(Event)
BALLAST_ROW_SCHEMA(TokenView)
BALLAST_ROW_SCHEMA(UploadView)
BALLAST_ROW_SCHEMA(PoolVolume)
BALLAST_ROW_SCHEMA(jobs::ReservationView)
template Json schema<HostSettings>(Json&);
template Json schema<ClusterView>(Json&);
template Json schema<HostAdd>(Json&);
template Json schema<HostConfirmDead>(Json&);
template Json schema<HostPatch>(Json&);
template Json schema<QuarantineAsk>(Json&);
template Json schema<PairAsk>(Json&);
template Json schema<AdoptAsk>(Json&);
template Json schema<VmPatch>(Json&);
template Json schema<PlacementAsk>(Json&);
template Json schema<jobs::BatchAsk>(Json&);
template Json schema<jobs::ReservationAsk>(Json&);
template Json schema<CapacityAsk>(Json&);
template Json schema<TokenAsk>(Json&);
template Json schema<TokenMade>(Json&);
template Json schema<Problem>(Json&);
template Json schema<scheduler::Capacity>(Json&);
template Json schema<scheduler::Decision>(Json&);
template Json schema<scheduler::BatchDecision>(Json&);
template Json schema<jobs::VmCreateParams>(Json&);
template Json schema<jobs::VmStartParams>(Json&);
template Json schema<jobs::VmShutdownParams>(Json&);
template Json schema<jobs::VmDeleteParams>(Json&);
template Json schema<jobs::VmMigrateParams>(Json&);
template Json schema<jobs::ImageImportParams>(Json&);
template Json schema<jobs::VolumeCreateParams>(Json&);
template Json schema<jobs::NoParams>(Json&);

}  // namespace ballast::api
