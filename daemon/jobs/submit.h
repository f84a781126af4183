#pragma once
// How work is asked for. The route commits the job row (and its idempotency record) in one transaction; the engine sees
// the commit and runs it. Nothing needs to be kicked, and a crash between commit and run loses nothing: recovery finds
// the row.

#include <string>

#include "core/job.h"
#include "daemon/store/store.h"

namespace ballast::jobs {

struct JobRequest {
    std::string kind;
    VmId vm;
    HostId host;
    std::string subject;  ///< for people
    JsonText params;
};

/// Puts a queued job into the transaction. Work on one VM queues in order; it is never refused as "locked".
/// Errors: invalid_argument (unknown kind), failed_precondition (what the safety contract refuses at once: observed,
/// unknown, conflict).
[[nodiscard]] Result<Job> submit(store::Transaction& transaction, JobRequest request);

/// Asks a job to stop. A queued one is cancelled at once, a running one when it is safe. Errors: not_found,
/// failed_precondition (finished).
[[nodiscard]] Result<Job> request_cancel(store::Transaction& transaction, const JobId& id);

/// Takes back what queueing had put into the store, of a job that ends before it began: the row of the VM that it was
/// to make, with its name and its place in a reservation.
void take_back_unbegun(store::Transaction& transaction, const Job& job);

}  // namespace ballast::jobs
