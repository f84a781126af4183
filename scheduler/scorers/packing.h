#pragma once
// How full a host is after the placement: the quadratic mean of its memory and its vCPUs.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Packing {
    static constexpr std::string_view name = "packing";
    static constexpr bool always = true;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
