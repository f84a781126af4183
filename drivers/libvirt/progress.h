#pragma once
// What a host says of a domain's job, in the driver's words. Blocks: inside a task only.

#include "core/error.h"
#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// The running job; `none` when there is none. Errors: not_found.
[[nodiscard]] Result<MigrationProgress> read_progress(virConnectPtr connection, const VmId& vm);
/// The last completed job: after a migration the target has the statistics. Reading does not use them up.
[[nodiscard]] Result<MigrationProgress> read_completed(virConnectPtr connection, const VmId& vm);

}  // namespace ballast::drivers::libvirt
