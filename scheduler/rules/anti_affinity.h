#pragma once
// Rejects hosts where another VM of the same anti-affinity group runs, starts, or has claimed its room.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct AntiAffinity {
    static constexpr std::string_view name = "anti_affinity";
    [[nodiscard]] RuleVerdict operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
