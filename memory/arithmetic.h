#pragma once
// Bytes to doubles and back, for formulas. Pure, and not for other modules.

#include <algorithm>
#include <cmath>

#include "core/units.h"

namespace ballast::memory {

[[nodiscard]] inline double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}
/// Rounded down, so that parts of a whole never sum to more than it; never negative.
[[nodiscard]] inline Bytes bytes_of(double bytes) {
    constexpr double largest = 1e17;
    return Bytes(static_cast<std::int64_t>(std::clamp(bytes, 0.0, largest)));
}
[[nodiscard]] inline double seconds_of(Milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
}
[[nodiscard]] inline Milliseconds between(Timestamp from, Timestamp to) {
    return std::chrono::duration_cast<Milliseconds>(to - from);
}
/// The weight of a new value in an exponentially weighted mean after `elapsed`: 1 - exp(-elapsed / constant).
[[nodiscard]] inline double weight_after(Milliseconds elapsed, Milliseconds constant) {
    if (elapsed <= Milliseconds(0)) return 0;
    return -std::expm1(-seconds_of(elapsed) / std::max(seconds_of(constant), 0.001));
}

}  // namespace ballast::memory
