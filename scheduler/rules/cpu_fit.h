#pragma once
// Rejects hosts whose vCPU promise (cores x overcommit) is spent, and VMs with more vCPUs than the host has cores at
// all.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct CpuFit {
    static constexpr std::string_view name = "cpu_fit";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
