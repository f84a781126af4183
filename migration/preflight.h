#pragma once
// The preflight of one move: everything that would make it fail or be unsafe, found before the start and named with its
// way out (SAFETY.md 6, 9, 11). Pure; it judges what the inventory knows, and the evidence about the pair that was
// gathered before. Whether the target has room is the scheduler's (memory_fit, cpu_fit).

#include <vector>

#include "core/snapshot.h"
#include "migration/compatibility.h"

namespace ballast::migration {

struct MoveTerms {
    MigrationMode mode = MigrationMode::pre_copy;
    Timestamp now;
    Milliseconds evidence_age{3'600'000};  ///< older evidence about the pair counts as none
    bool offline = false;  ///< only the definition of a VM that does not run is moved; `mode` is nothing then
    MigrationKnobs knobs{};
    MigrationTerms policy{};
};

/// One line per check, the refused ones with their way out; `pair` is nullptr where the pair was never checked.
[[nodiscard]] std::vector<PairCheck> judge_move(const Vm& vm, const Host& from, const Host& to, const HostPair* pair,
                                                const Snapshot& snapshot, const MoveTerms& terms);

/// Fine, or failed_precondition naming the first refusal, its way out, and how many more there are.
[[nodiscard]] Result<void> verdict_of(const std::vector<PairCheck>& checks);

/// Whether QEMU on the target may use userfaultfd, without which no stream can be opened for post-copy; the pair's own
/// probe before what the host's facts let one expect.
[[nodiscard]] PairCheck check_userfaultfd(const Host& to, const HostPair* pair);

/// Whether VIR_MIGRATE_UNSAFE may be set: every writable disk has fresh evidence or is copied along (its `disk:` check
/// is ok).
[[nodiscard]] bool disks_are_proven(const std::vector<PairCheck>& checks);

}  // namespace ballast::migration
