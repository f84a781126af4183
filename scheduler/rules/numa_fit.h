#pragma once
// Rejects hosts without enough NUMA cells that have the memory, huge pages and unpinned cores the VM wishes for.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct NumaFit {
    static constexpr std::string_view name = "numa_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
