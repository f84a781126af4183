#pragma once
// Rejects hosts whose counted devices of a kind (SR-IOV functions, PCI devices) are promised away.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Devices {
    static constexpr std::string_view name = "devices";
    static constexpr RuleScope scope = RuleScope::host;
    [[nodiscard]] bool fits(const Candidate& candidate) const;
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
