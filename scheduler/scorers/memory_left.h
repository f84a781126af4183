#pragma once
// The share of its usable memory that a host has left after the placement.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct MemoryLeft {
    static constexpr std::string_view name = "memory_left";
    static constexpr bool always = true;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
