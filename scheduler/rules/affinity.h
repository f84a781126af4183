#pragma once
// Rejects hosts (or zones) away from the other VMs of a group that keeps together. Members on hosts that accept no work
// (maintenance) draw nobody: they are to leave, and the first of them that does shows the others the way.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Affinity {
    static constexpr std::string_view name = "affinity";
    static constexpr RuleScope scope = RuleScope::cluster;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
