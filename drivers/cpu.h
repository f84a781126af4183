#pragma once
// What a host's CPU gives to its guests, feature by feature: beside driver.h because not every driver can tell (the
// simulated one and libvirt's test driver cannot). Thread rule and errors as in driver.h.

#include <string>
#include <vector>

#include "drivers/driver.h"

namespace ballast::drivers {

class CpuRole {
  public:
    virtual ~CpuRole() = default;
    /// What a guest gets there whose CPU is the host's (host-model), by libvirt's names, sorted.
    virtual Task<std::vector<std::string>> guest_features() = 0;
};

/// The role, where the host's driver has it.
[[nodiscard]] inline CpuRole* find_cpu_role(HostDriver& host) {
    return dynamic_cast<CpuRole*>(&host);
}

}  // namespace ballast::drivers
