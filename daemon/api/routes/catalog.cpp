#include "daemon/api/routes/catalog.h"

#include <iterator>

namespace ballast::api {

std::vector<Route> all_routes() {
    std::vector<Route> all;
    for (const auto& table :
         {capacity_routes, cluster_routes, console_routes, evacuate_routes, event_routes, host_routes, job_routes,
          memory_routes, migrate_routes, migration_routes, pair_routes, placement_routes, plan_routes,
          reservation_routes, snapshot_routes, storage_routes, token_routes, vm_routes}) {
        auto routes = table();
        all.insert(all.end(), std::make_move_iterator(routes.begin()), std::make_move_iterator(routes.end()));
    }
    return all;
}

}  // namespace ballast::api
