#pragma once
// JSON Schemas for the route tables, compiled once (schemas.cpp): `{.schema = schema<Vm>}`. A type is added by one line
// there.

#include <nlohmann/json_fwd.hpp>

#include "core/json.h"

namespace ballast::api {

/// The reference to T; T and what it refers to are added to the components.
template <class T>
[[nodiscard]] Json schema(Json& definitions);

/// {"items": [T], "next": cursor or null}
template <class T>
[[nodiscard]] Json page_schema(Json& definitions);

/// {"items": [T]}: lists that are never long.
template <class T>
[[nodiscard]] Json list_schema(Json& definitions);

}  // namespace ballast::api
