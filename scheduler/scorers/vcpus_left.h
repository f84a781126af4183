#pragma once
// The share of its usable vCPUs that a host has left after the placement.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct VcpusLeft {
    static constexpr std::string_view name = "vcpus_left";
    static constexpr bool always = true;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
