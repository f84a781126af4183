#pragma once
// The part of the preflight that is about files: whether the target sees the very disks (SAFETY.md 9), or has a place
// and the room for those that are copied along. Pure; preflight.h is the door.

#include <string_view>
#include <vector>

#include "migration/preflight.h"

namespace ballast::migration {

inline constexpr std::string_view disk_prefix = "disk:";

/// Whether the pair was checked, and lately enough to build on it.
[[nodiscard]] bool is_fresh(const HostPair* pair, const MoveTerms& terms);

/// One line per disk and boot file.
[[nodiscard]] std::vector<PairCheck> judge_disks(const Vm& vm, const Host& from, const Host& to, const HostPair* pair,
                                                 const Snapshot& snapshot, const MoveTerms& terms);

}  // namespace ballast::migration
