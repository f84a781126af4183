#pragma once
// A host's picture as a point of its history. Pure.

#include <vector>

#include "core/snapshot.h"
#include "daemon/overcommit/picture.h"
#include "daemon/store/memory_history.h"
#include "daemon/store/vm_memory_history.h"

namespace ballast::overcommit {

[[nodiscard]] store::MemoryPoint point_of(const HostPicture& picture);
/// Those of its VMs that are on this host by their rows: while a VM moves, its target's picture has it, too.
void add_vm_points(const HostPicture& picture, const Snapshot& snapshot, std::vector<store::VmMemoryPoint>& points);

}  // namespace ballast::overcommit
