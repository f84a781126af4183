#pragma once
// The `should` terms: how far what the VM wishes of its groups holds here; the mean of its wishes.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct Wishes {
    static constexpr std::string_view name = "wishes";
    static constexpr bool always = false;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
