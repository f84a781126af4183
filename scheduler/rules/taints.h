#pragma once
// Rejects hosts with a taint (no_place, evacuate) that the VM does not bear. `avoid` is a scorer's matter.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Taints {
    static constexpr std::string_view name = "taints";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
