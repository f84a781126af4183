#pragma once
// What the safety contract says at once, before any job: which changes of hosts and VMs are refused, and why. Pure
// functions of rows; the routes call them inside the store's transaction. No I/O.

#include <string_view>

#include "core/snapshot.h"
#include "daemon/api/routes/types.h"

namespace ballast::api {

/// Whether anything on the host may be changed (SAFETY.md 1). Errors: failed_precondition.
[[nodiscard]] Result<void> check_managed(const Host& host);

/// A new host: name and URI well-formed and unused. Errors: invalid_argument, already_exists.
[[nodiscard]] Result<void> check_new_host(const Snapshot& snapshot, const HostAdd& host);
[[nodiscard]] Result<void> check_host_name_free(const Snapshot& snapshot, std::string_view name, const HostId& own);
[[nodiscard]] Result<void> check(const HostSettings& settings);

/// Nothing runs that needs the host: for remove and observe. Errors: failed_precondition naming the jobs.
[[nodiscard]] Result<void> check_no_work(const Snapshot& snapshot, const Host& host, std::string_view doing);

/// SAFETY.md 3. Errors: invalid_argument (name not repeated, no reason), failed_precondition (the host answers).
[[nodiscard]] Result<void> check_confirm_dead(const Host& host, const HostConfirmDead& ask);

/// Errors: failed_precondition (not in quarantine, or for a reason that no word ends), invalid_argument.
[[nodiscard]] Result<void> check_resolve(const Snapshot& snapshot, const Host& host, const QuarantineAsk& ask);

/// SAFETY.md 1 and 2. Errors: failed_precondition.
[[nodiscard]] Result<void> check_adopt(const Snapshot& snapshot, const Vm& vm);

/// The VM after the patch. Labels may be given to any VM; the rest only to managed ones. Errors: failed_precondition,
/// invalid_argument.
[[nodiscard]] Result<Vm> plan_patch(const Vm& vm, const VmPatch& patch);

}  // namespace ballast::api
