#pragma once
// The SQL of the memory history. Thread rule: that of the connection.

#include <span>
#include <vector>

#include "daemon/store/connection.h"
#include "daemon/store/memory_history.h"

namespace ballast::store {

/// Writes 10 s that are over, makes the minutes and ten minutes that are over with them, and drops what is too old, a
/// few steps at a time. What a clock that was set back since had noted of times to come is dropped too.
void write_memory_rows(Connection& connection, std::span<const MemoryRow> rows);
/// Looks at each step of the time once: bound it by what is kept.
[[nodiscard]] std::vector<MemoryRow> read_memory_rows(Connection& connection, const MemoryHistoryQuery& query);

}  // namespace ballast::store
