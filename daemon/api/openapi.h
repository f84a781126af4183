#pragma once
// openapi.json, made from the route tables. Deterministic: the same tables give the same bytes. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "daemon/api/route.h"

namespace ballast::api {

[[nodiscard]] std::string openapi_text(const std::vector<Route>& routes, std::string_view version);

}  // namespace ballast::api
