#pragma once
// Network closeness: how many of the VM's groups' members stand in the same rack and the same zone, by the hosts'
// labels. 1 for a VM without a group, or whose groups lie nowhere yet.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Closeness {
    static constexpr std::string_view name = "closeness";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
