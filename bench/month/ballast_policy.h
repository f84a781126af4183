#pragma once
// Ballast's own planner as a policy: an inventory and a load from what was seen so far, a plan for the goal `level`
// every so often, its steps in their order. What it learns of a VM: its mean by hour of the day, working days and
// weekends apart, and how far five minutes are from that.

#include <memory>

#include "bench/month/meter.h"

namespace ballast::bench {

struct BallastOptions {
    int every_slots = slots_per_hour;  ///< between two plans
    int stay_hours = 24;               ///< over which a move's gain is counted
    std::uint64_t seed = 1;
};

[[nodiscard]] std::unique_ptr<Policy> make_ballast(const MonthWorld& world, BallastOptions options = {});

}  // namespace ballast::bench
