#pragma once
// Rejects hosts that do not offer the machine type or CPU model that the VM asks for.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct CpuCompatible {
    static constexpr std::string_view name = "cpu_compatible";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
