#pragma once
// The way out of a host whose guaranteed minimums do not fit: a lower minimum of the VM that is to come. Named only
// where both rules of memory then take it (memory_fit.h, working_set_fit.h). Pure.

#include <optional>
#include <string>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

/// "its memory_minimum is lowered by 512 MiB to 1.5 GiB", `missing` being what the host would need to have more.
/// Nothing: the VM is promised its whole memory, or that would not do.
[[nodiscard]] std::optional<std::string> lower_minimum(const Candidate& candidate, Bytes missing);

/// No VM is to be guaranteed less.
inline constexpr Bytes least_minimum = mebibytes(16);

}  // namespace ballast::scheduler
