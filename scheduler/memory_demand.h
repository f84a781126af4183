#pragma once
// What a VM wants of memory, as a distribution: the one seam between placement and whoever measures working sets (the
// memory controller). Decides nothing. Pure.

#include "scheduler/host_view.h"
#include "scheduler/plan/load.h"

namespace ballast::scheduler {

/// All with QEMU's own need in them.
struct MemoryDemand {
    Bytes maximum;      ///< never more
    Bytes minimum;      ///< guaranteed: never less
    Bytes working_set;  ///< expected
    Bytes deviation;    ///< of the working set
    friend bool operator==(const MemoryDemand&, const MemoryDemand&) = default;
};

/// Where no working set is known, a crude one: the middle of what it may have, with half of the range as two
/// deviations; for a VM whose minimum is its maximum, that. On a host that overcommits, a VM that may not be squeezed
/// (host_view.h) wants its maximum, whatever is known of it.
[[nodiscard]] MemoryDemand memory_demand(const VmSpec& spec, const Host& host, const VmLoad* load);

/// The load of a VM, or nullptr where none is known.
[[nodiscard]] const VmLoad* load_of(const ClusterLoad* load, const VmId& vm);

}  // namespace ballast::scheduler
