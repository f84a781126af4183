#pragma once
// Rejects hosts (or zones) that hold as many VMs of a group as it allows in one place: licences, blast radius.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct GroupLimit {
    static constexpr std::string_view name = "group_limit";
    static constexpr RuleScope scope = RuleScope::zone;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
