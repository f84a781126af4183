#pragma once
// Long work: follows a job on the event stream to its end, shows progress, and tells how it ended. The end of the
// waiting (Ctrl-C, --timeout, a lost connection) never ends the job.

#include <string>

#include "cli/session.h"

namespace ballast::cli {

/// After a write that was answered by a job: waits for it (unless --no-wait) and says `done` ("web1 was started"), or
/// prints the finished job for scripts. An answer without a job is already the end.
Outcome<> finish_job(Session& session, const Answer& answer, const std::string& done);

/// The same, giving the finished job. Errors: the job's own failure.
Outcome<Json> wait_for_job(Session& session, const std::string& id);

/// A failed or cancelled job as the command's failure.
[[nodiscard]] Failure failure_of(const Json& job);

[[nodiscard]] bool is_finished(const Json& job);

/// "pull  round 3  sent 120 MiB, 33 MiB left, 98 MiB/s" from a progress event.
[[nodiscard]] std::string progress_text(const Json& progress);

/// The last lines of a migration: measured downtime, total time, bytes, rounds.
[[nodiscard]] std::string migration_summary(const Json& migration, Api& api);

}  // namespace ballast::cli
