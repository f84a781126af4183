#pragma once
// The memory of hosts and VMs as Prometheus gauges, as of each host's last sweep. What is done to it is counted by
// events. Pure.

#include <string>

#include "core/snapshot.h"
#include "daemon/overcommit/picture.h"

namespace ballast::api {

/// VMs have series of their own up to this number, of hosts by name; a gauge says how many were left out.
inline constexpr std::size_t most_vm_series = 5'000;

[[nodiscard]] std::string memory_metrics(const Snapshot& snapshot, const overcommit::Pictures& pictures,
                                         std::size_t most_vms = most_vm_series);

}  // namespace ballast::api
