#pragma once
// libvirt's numbers as the driver's states and as words for people. Pure.

#include <string>

#include "core/vm.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// `incoming`: the host's job on the domain is an incoming migration; libvirt gives source and target of a migration
/// the same state and reason.
[[nodiscard]] DomainState state_of(int state, int reason, bool incoming = false);
/// Whether state_of needs to be told about `incoming`.
[[nodiscard]] bool is_ambiguous(int state, int reason);
[[nodiscard]] std::string words_of_state(int state, int reason);
[[nodiscard]] std::string words_of_lifecycle(int event, int detail);

}  // namespace ballast::drivers::libvirt
