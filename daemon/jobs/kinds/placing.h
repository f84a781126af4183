#pragma once
// Placing within a job: decide on the snapshot, claim in the transaction, decide again when somebody else was faster.
// And the undo of a job that could not go on.

#include <functional>
#include <string>

#include "daemon/jobs/run.h"
#include "scheduler/fleet/residency.h"
#include "scheduler/placement.h"

namespace ballast::jobs {

/// Writes the claim (and what belongs to it) for the chosen host, guarded by `basis`; called inside the transaction, on
/// current rows.
using Claimer = std::function<Result<void>(store::Transaction&, const scheduler::Basis& basis)>;

/// Commits `step` as done, with the claim, on the best host. Errors: the scheduler's refusal, which lists every host
/// with its reason.
Task<> claim_best_host(RunPtr run, scheduler::PlacementRequest request, std::string name, std::string step,
                       Claimer claimer);

/// The connection of a host on which something must be taken back: waited for however long it is away, also after a
/// cancel.
Task<std::shared_ptr<drivers::HostDriver>> wait_for_host_to_undo(RunPtr run, HostId host);

/// Runs an undo until it succeeds: an undo that cannot reach its host waits, because a half-done job must not look
/// finished.
boost::asio::awaitable<void> repeat_until_done(RunPtr run, std::function<Task<>()> undo);

/// The reason that the journal holds for an undo that a former daemon began.
[[nodiscard]] std::string undo_reason(const Run& run);

}  // namespace ballast::jobs
