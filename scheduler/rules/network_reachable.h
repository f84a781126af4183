#pragma once
// Rejects hosts without an active network, or the bridge, that a NIC of the VM asks for.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct NetworkReachable {
    static constexpr std::string_view name = "network_reachable";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
