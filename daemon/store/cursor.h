#pragma once
// The opaque cursor of a keyset page: the sort value and id of the last row, in base64url, bound to the order that it
// was made for. Pure.

#include <string>
#include <string_view>

#include "core/error.h"
#include "daemon/store/connection.h"

namespace ballast::store {

struct Cursor {
    SqlValue value;
    std::string id;
};

[[nodiscard]] std::string make_cursor(const Cursor& cursor, std::string_view sort, bool descending);
/// Errors: invalid_argument (not a cursor, or one of another order).
[[nodiscard]] Result<Cursor> parse_cursor(std::string_view text, std::string_view sort, bool descending);

}  // namespace ballast::store
