#include "drivers/simulated/precopy.h"

#include <algorithm>

namespace ballast::drivers::simulated {
namespace {
constexpr double page = 4096;
/// QEMU's rate limiter works in slices of 100 ms and looks about twice a slice: no round is shorter.
constexpr double shortest_round_s = 0.05;
}  // namespace

double newly_dirty(Dirtying load, double seconds, double unsent) {
    const double room = std::max(0.0, load.working_set - unsent);
    const double written = std::min(load.rate * seconds, room) + std::min(load.slow_rate * seconds, load.slow_set);
    return written < page ? 0 : written;
}

double stop_threshold(double bandwidth, double downtime_limit_s) {
    return bandwidth * downtime_limit_s;
}

double round_goal(int round, double dirty, double threshold, double bandwidth) {
    if (round <= 1) return dirty;
    const double least = std::min(dirty, bandwidth * shortest_round_s);
    return std::max(dirty - threshold, least);
}

}  // namespace ballast::drivers::simulated
