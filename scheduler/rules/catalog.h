#pragma once
// Every placement rule, in the order in which a refusal names them. Pure.

#include <span>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct RuleEntry {
    std::string_view name;
    RuleVerdict (*judge)(const Candidate&);
};

[[nodiscard]] std::span<const RuleEntry> rule_catalog();

}  // namespace ballast::scheduler
