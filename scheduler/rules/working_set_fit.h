#pragma once
// Rejects hosts where the working sets of all VMs, with the new one, would outgrow the memory for VMs by more than the
// stated risk although the promise fits (a host that the promise does not fit is refused by memory_fit already). As
// long as every VM is promised its whole maximum (host_view.h) that cannot be; it is the guard for promises of less.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct WorkingSetFit {
    static constexpr std::string_view name = "working_set_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
