#pragma once
// Where VMs would run: decisions of the scheduler as answers. Nothing is claimed.

#include "daemon/api/services.h"
#include "scheduler/placement.h"

namespace ballast::api {

/// The request for a new VM; empty pools become the default one. Errors: not_found (the host).
[[nodiscard]] Result<scheduler::PlacementRequest> placement_of(const Context& context, VmSpec spec,
                                                               std::string_view host);

/// Errors: invalid_argument (it names a policy that there is not).
[[nodiscard]] Result<void> check_policy(const Context& context, const VmPlacement& placement);

/// The request for a VM that exists: where it could go, or (`to`) whether it could go there.
[[nodiscard]] Result<scheduler::PlacementRequest> move_of(const Context& context, const Vm& vm, std::string_view to);

/// Decides and explains on the pool, on the snapshot of now; the seed is its number, so that the same question has the
/// same answer. `place`: the reserved room that the VM takes, which does not count then.
Task<Response> decide(ContextPtr context, scheduler::PlacementRequest wanted,
                      std::shared_ptr<const Claim> place = nullptr);

}  // namespace ballast::api
