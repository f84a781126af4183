#pragma once
// Every placement rule, in the order in which a refusal names them. Pure.

#include <span>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct RuleEntry {
    std::string_view name;
    RuleVerdict (*judge)(const Candidate&);
    bool (*fits)(const Candidate&);  ///< the same answer without a word
    RuleScope scope = RuleScope::host;
};

[[nodiscard]] std::span<const RuleEntry> rule_catalog();

}  // namespace ballast::scheduler
