#pragma once
// Finding what a call is about, with errors that name it. Thread rule: inside a task only.

#include <string>

#include "core/error.h"
#include "core/ids.h"
#include "drivers/libvirt/handle.h"

namespace ballast::drivers::libvirt {

/// Errors: not_found, invalid_argument (not a UUID).
[[nodiscard]] Result<Domain> find_domain(virConnectPtr connection, const VmId& vm);
[[nodiscard]] Result<Pool> find_pool(virConnectPtr connection, const std::string& name);
[[nodiscard]] Result<Volume> find_volume(virConnectPtr connection, const std::string& pool, const std::string& name);
[[nodiscard]] std::string uuid_of(virDomainPtr domain);

}  // namespace ballast::drivers::libvirt
