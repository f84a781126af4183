#pragma once
// Rejects hosts where the VMs, with the new one, may want more than there is, although the promises fit (a host that
// the promises do not fit is refused by memory_fit already). Where memory is overcommitted, whoever measures working
// sets is asked (memory_admission.h). Where nobody does, working sets are taken as independent and normal, at a risk of
// 1 %; that also guards a host that does not overcommit, and never refuses one that has promised every VM its maximum.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct WorkingSetFit {
    static constexpr std::string_view name = "working_set_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
