#pragma once
// The definition of a VM that does not run, moved to another host: by a start elsewhere, and by an offline migration.

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Removes the definition on the former host, which must provably not run there (SAFETY.md 4, 8). A host that is
/// confirmed dead or gone is passed over. Errors: failed_precondition (it runs there, or state binds it to the host).
Task<> leave_old_host(RunPtr run, HostId old);

/// Defines the VM there, or stamps the definition that is there already with owner and epoch.
Task<> define_on(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host);

}  // namespace ballast::jobs
