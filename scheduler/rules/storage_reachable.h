#pragma once
// Rejects hosts that cannot reach every disk: the pool must be active there, and data that lies on another host counts
// only where that pair of hosts has proven to share the pool (SAFETY.md 9). A path alike proves nothing.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct StorageReachable {
    static constexpr std::string_view name = "storage_reachable";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
