#pragma once
// Rejects every other host while state binds the VM to one: managed save, snapshots, checkpoints (SAFETY.md 11).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct BoundToHost {
    static constexpr std::string_view name = "bound_to_host";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
