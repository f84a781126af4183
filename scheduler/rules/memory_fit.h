#pragma once
// Rejects hosts that cannot back what the VM is promised (host_view.h): its maximum, or where memory is overcommitted
// its guaranteed minimum; and QEMU's own need. Counts what is promised, not what is resident.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct MemoryFit {
    static constexpr std::string_view name = "memory_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
