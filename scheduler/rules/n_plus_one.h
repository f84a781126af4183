#pragma once
// Rejects hosts where the VM would leave some host's VMs without room if that host failed (redundancy.h), where N+1 is
// asked for as a must.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct NPlusOneRule {
    static constexpr std::string_view name = "n_plus_one";
    static constexpr RuleScope scope = RuleScope::cluster;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
