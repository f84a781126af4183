#pragma once
// The SQL of the VMs' memory history. Thread rule: that of the connection.

#include <span>
#include <utility>
#include <vector>

#include "daemon/store/connection.h"
#include "daemon/store/vm_memory_history.h"

namespace ballast::store {

/// Writes a minute that is over, makes the ten minutes that are over with it, and drops what is too old, a few steps at
/// a time. What a clock that was set back since had noted of times to come is dropped too.
void write_vm_memory_rows(Connection& connection, std::span<const std::pair<VmId, VmMemoryRow>> rows);
/// Looks at each step of the time once: bound it by what is kept.
[[nodiscard]] std::vector<VmMemoryRow> read_vm_memory_rows(Connection& connection, const VmMemoryHistoryQuery& query);

}  // namespace ballast::store
