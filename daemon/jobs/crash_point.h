#pragma once
// Named places at which a test may kill the daemon: after each persisted step of a job. Without BALLAST_CRASH_AT in the
// environment a crash point costs one comparison. The kill is SIGKILL to ourselves, so nothing is flushed, closed or
// undone: as if the power went.

#include <string_view>

namespace ballast::jobs {

/// Kills the process when `name` is what BALLAST_CRASH_AT names: "vm.create.define.intended", or with wildcards where a
/// name holds what is not known beforehand, "vm.create.volume:*.done".
void crash_point(std::string_view name);

}  // namespace ballast::jobs
