#pragma once
// Every route, by resource. A new endpoint is one entry in one file of this folder.

#include <vector>

#include "daemon/api/route.h"

namespace ballast::api {

[[nodiscard]] std::vector<Route> cluster_routes();
[[nodiscard]] std::vector<Route> event_routes();

[[nodiscard]] std::vector<Route> all_routes();

}  // namespace ballast::api
