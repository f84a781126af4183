#pragma once
// Rejects hosts that cannot back the VM. Counts what is promised, not what is resident, and QEMU's own need.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct MemoryFit {
    static constexpr std::string_view name = "memory_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
