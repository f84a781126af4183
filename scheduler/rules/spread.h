#pragma once
// Rejects hosts (or zones) where one more VM of a group would be more than it allows above the emptiest place that
// accepts work.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Spread {
    static constexpr std::string_view name = "spread";
    static constexpr RuleScope scope = RuleScope::cluster;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
