#pragma once
// libvirt's events as the driver's. Thread rule: callbacks run on libvirt's event thread; they copy what they are
// given, hand it to the sink and never call a host. Registering and undoing do call the host: on an opening or closing
// thread.

#include <functional>

#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// Registers for everything the host supports; returns what undoes it.
[[nodiscard]] std::function<void(virConnectPtr)> watch_events(virConnectPtr connection, const HostId& host,
                                                              const EventSink& sink);

/// Domains that Ballast itself makes for a moment (probe_peer): nobody is told of them.
[[nodiscard]] bool is_probe_name(std::string_view name);
inline constexpr std::string_view probe_name_prefix = "ballast-probe-";

}  // namespace ballast::drivers::libvirt
