#pragma once
// Definitions of a VM on hosts that do not own it, when the VM is deleted: one that is left over would come back as an
// observed VM. It goes with the VM where it provably is Ballast's own old one and off (SAFETY.md 4, 8); anything else
// is refused by name before the deletion has done anything. A host that was confirmed dead is passed over: its word is
// worth nothing, and what it still defines is an alert when it comes back (SAFETY.md 7).

#include <optional>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Asks every such host. Errors: failed_precondition (names the host and the way out), unavailable (it can't be asked).
Task<> check_leftovers(RunPtr run, std::optional<HostId> owner);

/// Undefines them, each as a step of the journal.
Task<> remove_leftovers(RunPtr run, std::optional<HostId> owner);

}  // namespace ballast::jobs
