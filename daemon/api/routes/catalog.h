#pragma once
// Every route, by resource. A new endpoint is one entry in one file of this folder.

#include <vector>

#include "daemon/api/route.h"

namespace ballast::api {

[[nodiscard]] std::vector<Route> capacity_routes();
[[nodiscard]] std::vector<Route> cluster_routes();
[[nodiscard]] std::vector<Route> console_routes();
[[nodiscard]] std::vector<Route> event_routes();
[[nodiscard]] std::vector<Route> evacuate_routes();
[[nodiscard]] std::vector<Route> host_routes();
[[nodiscard]] std::vector<Route> job_routes();
[[nodiscard]] std::vector<Route> memory_routes();
[[nodiscard]] std::vector<Route> migrate_routes();
[[nodiscard]] std::vector<Route> migration_routes();
[[nodiscard]] std::vector<Route> pair_routes();
[[nodiscard]] std::vector<Route> placement_routes();
[[nodiscard]] std::vector<Route> plan_routes();
[[nodiscard]] std::vector<Route> reservation_routes();
[[nodiscard]] std::vector<Route> snapshot_routes();
[[nodiscard]] std::vector<Route> storage_routes();
[[nodiscard]] std::vector<Route> token_routes();
[[nodiscard]] std::vector<Route> vm_routes();

[[nodiscard]] std::vector<Route> all_routes();

}  // namespace ballast::api
