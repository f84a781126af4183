#pragma once
// Rejects hosts where the working sets of all VMs, with the new one, would outgrow the memory for VMs too often: by
// more than the stated risk, whatever was promised (host_view.h) or taken by others.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct WorkingSetFit {
    static constexpr std::string_view name = "working_set_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
