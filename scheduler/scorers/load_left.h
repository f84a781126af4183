#pragma once
// The share of its cores that is idle on average once the VM is there, by what VMs really use. 1 where no load is
// known.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct LoadLeft {
    static constexpr std::string_view name = "load_left";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
