#pragma once
// An offline migration: the definition of a VM that does not run moves to another host; its disks must be proven
// shared. No hypervisor migrates anything, so there is no Migration row: the job's journal is the record.

#include <nlohmann/json_fwd.hpp>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Errors: failed_precondition (it runs; the preflight's first refusal), and the scheduler's refusal.
Task<Json> move_offline(RunPtr run);

}  // namespace ballast::jobs
