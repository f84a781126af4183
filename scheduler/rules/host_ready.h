#pragma once
// Rejects hosts where nothing may begin now: observed, not up, in maintenance, confirmed dead, excluded by the caller,
// or the very host that the VM is to leave.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct HostReady {
    static constexpr std::string_view name = "host_ready";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
