#pragma once
// Predicted contention: the share of the demand for cores that a host can serve, hour by hour of the day. 1 where no
// load is known. Two VMs that are busy at the same time are apart, two that are busy in turn may share a host.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Contention {
    static constexpr std::string_view name = "contention";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
