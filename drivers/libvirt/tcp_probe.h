#pragma once
// Tells in bounded time whether anybody listens where libvirt is about to connect: virConnectOpen itself has no limit.
// Blocks its thread; sends nothing.

#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/units.h"

namespace ballast::drivers::libvirt {

/// Errors: unavailable naming address and cause.
[[nodiscard]] Result<void> probe_tcp(const std::string& host, std::uint16_t port, Milliseconds limit);

}  // namespace ballast::drivers::libvirt
