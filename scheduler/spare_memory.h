#pragma once
// What a host can spare beside its VMs for something that comes at once, fills within seconds and stays for minutes:
// the cache of a migration on its source. Decides nothing. Pure.
//
// A host that does not overcommit spares what it has not promised. On one that does, promises are only minimums and say
// nothing of what is there, so two things bound it: what was physically free above the reserve at the last look, for
// balloons move much slower than a cache fills; and what the admission bears beside the VMs for the next hour, as they
// may want back what they do not use just now. Where nobody measures, what all maximums leave.

#include "scheduler/memory_admission.h"

namespace ballast::scheduler {

/// Beside `vm`, which runs there and is to leave, and all others. Precondition: the snapshot has the host.
[[nodiscard]] Bytes spare_memory(const Snapshot& snapshot, const HostId& host, const Vm& vm,
                                 const MemoryAdmission* memory);

}  // namespace ballast::scheduler
