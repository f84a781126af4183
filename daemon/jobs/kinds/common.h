#pragma once
// What several kinds of jobs do alike.

#include <optional>
#include <string>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// What the host says of the domain, or nothing when it does not know it. Errors: those of the driver but not_found.
Task<std::optional<drivers::DomainView>> look_at(std::shared_ptr<drivers::HostDriver> driver, VmId vm);

/// Ends the domain's QEMU process (if any) and removes its definition (if any). The caller has proven that this copy
/// may be ended.
Task<> end_and_undefine(std::shared_ptr<drivers::HostDriver> driver, VmId vm);

/// Success where the domain, pool or volume is not there.
[[nodiscard]] Result<void> absent_is_fine(Result<void> outcome);

/// The definition of a VM as it stands in the inventory, stamped for `host`.
[[nodiscard]] drivers::DomainDefinition definition_of(const Snapshot& snapshot, const Vm& vm, const HostId& host);

/// Whether the spec knows every disk that the host shows. One that somebody attached outside Ballast is judged by no
/// preflight, and libvirt is told that all disks are safe (SAFETY.md 9). Errors: failed_precondition naming it.
[[nodiscard]] Result<void> check_known_disks(const Vm& vm, const drivers::DomainView& view);

/// A question that is always answered "not known to have happened": for acts that may simply be repeated.
[[nodiscard]] Holds repeatable();

/// True when the domain is active on the host.
[[nodiscard]] Holds is_active_on(std::shared_ptr<drivers::HostDriver> driver, VmId vm);
/// True when the domain is not active there.
[[nodiscard]] Holds is_off_on(std::shared_ptr<drivers::HostDriver> driver, VmId vm);

/// The host of a VM, or failed_precondition when it has none.
[[nodiscard]] Result<HostId> owner_of(const Vm& vm);

/// Starts the VM there. Where the host's memory is overcommitted, not before the memory is there that its guest may
/// fill as it boots; other guests are made smaller for it meanwhile. Errors: resource_exhausted when it is not there in
/// time.
Task<> start_on(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host);

/// `cancelled` when the job was asked to stop.
[[nodiscard]] Result<void> go_on(const Run& run);

/// The VM's state as part of a change, with the time and the reason.
void set_state(store::Transaction& transaction, Vm vm, VmState state, std::string reason, std::string kind);

}  // namespace ballast::jobs
