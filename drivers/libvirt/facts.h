#pragma once
// What a host is and can do, read from libvirt. Blocks: inside a task only. Never changes anything.

#include "core/error.h"
#include "drivers/libvirt/domain_xml.h"
#include "drivers/libvirt/handle.h"

namespace ballast::drivers::libvirt {

[[nodiscard]] Result<HostFacts> read_facts(virConnectPtr connection);

/// What guests of host-model have there, sorted. Errors: unimplemented (libvirt's test driver).
[[nodiscard]] Result<std::vector<std::string>> read_guest_features(virConnectPtr connection);

/// The part of the facts that a definition depends on.
[[nodiscard]] Result<Platform> read_platform(virConnectPtr connection);

}  // namespace ballast::drivers::libvirt
