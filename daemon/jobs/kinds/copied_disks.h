#pragma once
// Disks that go along with a move (copy_disks): what is judged and read before it, and what becomes of the files
// afterwards. libvirt copies them; a file is removed here only where it is provably nobody's (SAFETY.md 10).

#include <string>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Disks are judged on fresh evidence of the pair and of the target's pools, with sizes as the source says them: a disk
/// on storage that both hosts share would be copied over itself (SAFETY.md 9), one that does not fit would break the
/// move half-way. Errors: the preflight's first refusal, invalid_argument (no target).
Task<> check_copied_disks(RunPtr run, std::string target);

/// After a move that came to its end: the copies are the VM's disks now. The source's files are no domain's any more:
/// its definition is gone, proven by the end of the move; a file that somebody else uses stays.
Task<> follow_copied_disks(RunPtr run);

/// After a move that came to nothing: the files that it had made on the target go again. One that can't be removed now
/// stays; the next copy of that disk writes over it.
Task<> remove_half_copies(RunPtr run);

}  // namespace ballast::jobs
