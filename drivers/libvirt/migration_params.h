#pragma once
// What libvirt's migrate call is given for a request: flags and parameters. Decides nothing: which knobs go together is
// migration/compatibility.h's. Calls no host. Thread rule: none.

#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// libvirt takes whole MiB/s; rounding up keeps a small cap from meaning "none".
[[nodiscard]] unsigned long long mebibytes_per_second(BytesPerSecond rate);
[[nodiscard]] unsigned int flags_of(const MigrationRequest& request);
void fill(TypedParams& params, const MigrationRequest& request);

}  // namespace ballast::drivers::libvirt
