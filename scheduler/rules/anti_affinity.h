#pragma once
// Rejects hosts (or zones) where another VM of a group that keeps apart runs, starts, or has claimed its room.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct AntiAffinity {
    static constexpr std::string_view name = "anti_affinity";
    static constexpr RuleScope scope = RuleScope::zone;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
