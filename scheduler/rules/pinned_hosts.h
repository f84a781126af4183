#pragma once
// Rejects every host that is not among those the VM is pinned to, by name or id.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct PinnedHosts {
    static constexpr std::string_view name = "pinned_hosts";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
