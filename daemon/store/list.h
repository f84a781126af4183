#pragma once
// Lists in SQL: filters, sort and keyset pages give ids in order. Column names come from the entity's own list, values
// are bound; nothing of a query reaches SQL as text. Thread rule: that of the connection.

#include "daemon/store/connection.h"
#include "daemon/store/store.h"

namespace ballast::store {

/// Errors: invalid_argument (unknown entity or column, value, cursor or limit).
[[nodiscard]] Result<IdPage> list_ids(Connection& connection, const ListQuery& query);

}  // namespace ballast::store
