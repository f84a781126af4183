#pragma once
// Taints that only say `avoid`: 1 / (1 + those that the VM does not bear).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct AvoidedTaints {
    static constexpr std::string_view name = "avoided_taints";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
