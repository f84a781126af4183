#pragma once
// Rejects hosts that do not carry the labels the VM asks for.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct HostLabels {
    static constexpr std::string_view name = "host_labels";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
