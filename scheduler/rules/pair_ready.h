#pragma once
// Rejects migration targets whose pair with the source is unchecked or refused by its preflight (SAFETY.md 6).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct PairReady {
    static constexpr std::string_view name = "pair_ready";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
