#pragma once
// The domains of a host as DomainViews, in few calls: the definition of each domain, everything else in bulk. Blocks:
// inside a task only. Never changes anything.

#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

[[nodiscard]] Result<std::vector<DomainView>> read_domains(virConnectPtr connection);
/// Errors: not_found.
[[nodiscard]] Result<DomainView> read_one_domain(virConnectPtr connection, const VmId& vm);

/// UUIDs of the domains that libvirt would start with the host, in one call.
[[nodiscard]] std::set<std::string> autostart_domains(virConnectPtr connection);

}  // namespace ballast::drivers::libvirt
