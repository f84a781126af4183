#pragma once
// The arithmetic behind curve.h, in doubles: bytes, bytes/s, seconds. Pure, and not for other modules.

#include "migration/curve.h"

namespace ballast::migration::model {

inline constexpr double page = 4096;

/// One end of a range, or its middle.
template <class Range>
[[nodiscard]] auto end_of(const Range& range, Bound bound) {
    switch (bound) {
        case Bound::low:
            return range.low;
        case Bound::likely:
            return range.likely;
        case Bound::high:
            return range.high;
    }
    return range.likely;
}

/// Writes of `rate` into `size` bytes.
struct WritingSet {
    double rate = 0;
    double size = 0;
};

/// Different bytes of the set that are written within `seconds`.
[[nodiscard]] double dirtied(WritingSet set, double seconds, bool sequential);

/// A guest's writing as a simulation of rounds needs it.
struct Load {
    WritingSet fast;
    WritingSet slow;
    bool sequential = false;
    double vcpu_use = 1;  ///< of its vCPUs' time, above 0: what it leaves idle, a throttle takes first
};

/// The curve at one end of its ranges. Where the order of the writes is not known, `low` and `likely` are random writes
/// (dirtied again is often what is still to be sent) and `high` sequential ones.
[[nodiscard]] Load load_of(const DirtyCurve& curve, Bound bound);

[[nodiscard]] double dirtied(const Load& load, double seconds);

/// What is dirty after a round that took `seconds` and left `unsent`: never a page twice.
[[nodiscard]] double dirty_after(const Load& load, double seconds, double unsent);

/// The same guest with this share of its vCPU time taken: of its rate λ, min(λ, λ (1 - share) / vcpu_use) is left.
[[nodiscard]] Load throttled(Load load, double share);

[[nodiscard]] inline double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}
[[nodiscard]] inline double as_double(BytesPerSecond rate) {
    return static_cast<double>(rate.count());
}
[[nodiscard]] inline double seconds_of(Milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
}
/// Rounded, and kept within what the type and JSON hold.
[[nodiscard]] Bytes bytes_of(double bytes);
[[nodiscard]] BytesPerSecond rate_of(double bytes_per_second);
[[nodiscard]] Milliseconds time_of(double seconds);

}  // namespace ballast::migration::model
