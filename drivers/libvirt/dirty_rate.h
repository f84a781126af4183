#pragma once
// libvirt's dirty-rate calculation (page sampling: 512 pages a GiB, compared at the window's two ends, so what it
// counts is unique memory). Thread rule: inside a task only.

#include <libvirt/libvirt.h>

#include "core/error.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// Errors: not_found, failed_precondition (not running, or a calculation runs already).
[[nodiscard]] Result<void> begin_dirty_rate(virConnectPtr connection, const VmId& vm, Seconds window);
[[nodiscard]] Result<DirtyRate> read_dirty_rate(virConnectPtr connection, const VmId& vm);

}  // namespace ballast::drivers::libvirt
