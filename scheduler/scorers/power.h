#pragma once
// Watts that the placement adds: those of the VM's vCPUs and, on an empty host, of the host doing nothing:
// 100 / (100 + watts).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Power {
    static constexpr std::string_view name = "power";
    static constexpr bool always = true;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
