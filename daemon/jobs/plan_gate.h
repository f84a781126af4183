#pragma once
// The plan gate: what was decided on a snapshot is judged again in the writer's transaction, on the rows of that moment
// (scheduler::check_claim). Pure.

#include "core/error.h"

namespace ballast::jobs {

/// How often a decision is made again because somebody else was faster.
inline constexpr int most_decisions = 8;

/// Whether the gate refused what the decision had allowed: another decision may get round it.
[[nodiscard]] inline bool lost_a_race(const Error& error) {
    return error.code() == Code::resource_exhausted || error.code() == Code::failed_precondition;
}

}  // namespace ballast::jobs
