#pragma once
// Fragmentation: how many of its places for a big VM a host keeps. A big VM is one of half its usable memory and
// vCPUs. A host that has no such place any more loses none.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct RoomForBig {
    static constexpr std::string_view name = "room_for_big";
    static constexpr bool always = true;
    [[nodiscard]] double operator()(const Candidate& candidate) const;
};

}  // namespace ballast::scheduler
