#pragma once
// What a host says of its domains in one bulk call, and of its own memory: shared by the statistics sweep and the
// memory role. Thread rule: inside a task only.

#include <vector>

#include "core/error.h"
#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// `groups`: VIR_DOMAIN_STATS_…. A busy domain is left out rather than waited for (NOWAIT).
[[nodiscard]] Result<std::vector<DomainStats>> read_domain_stats(virConnectPtr connection, unsigned int groups);

struct NodeMemory {
    Bytes total;
    Bytes free;
    Bytes cached;  ///< page cache and buffers
};
/// Zeros where the host does not say.
[[nodiscard]] NodeMemory read_node_memory(virConnectPtr connection);

}  // namespace ballast::drivers::libvirt
