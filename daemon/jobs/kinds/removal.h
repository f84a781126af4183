#pragma once
// Whether a volume's file may be removed at all (SAFETY.md 10).

#include <string>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Asks the inventory and, live, every host that has a pool of that name: nobody may use the file as a disk, a boot
/// file or a backing file. Errors: failed_precondition (names the user), unavailable (a host of that pool can't be
/// asked, and is named).
Task<> check_removable(RunPtr run, std::string pool, std::string path, VmId except);

}  // namespace ballast::jobs
