#pragma once
// N+1 as a wish: 0 where the VM would leave some host's VMs without room if that host failed, else 1. 1 where N+1 is
// not asked for, or as a must (then the rule n_plus_one has refused).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct RedundancyKept {
    static constexpr std::string_view name = "redundancy";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
