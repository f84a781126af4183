#pragma once
// Page sharing: how many VMs of the same image are there, whose pages merge (KSM): n / (n + 1).

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct PageSharing {
    static constexpr std::string_view name = "page_sharing";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
