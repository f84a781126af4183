#pragma once
// Hosts that speak libvirt: qemu (unix, tcp, tls, ssh) and libvirt's own test driver. The only driver that includes
// <libvirt/…>. Thread rule: as in drivers/driver.h.

#include <memory>

#include "drivers/driver.h"

namespace ballast::drivers::libvirt {

[[nodiscard]] std::shared_ptr<Driver> make_libvirt_driver();

}  // namespace ballast::drivers::libvirt
