#pragma once
// The arithmetic of live migration: how much a guest dirties while a part of it is sent, and when the rest is small
// enough to stop. Models: V_{i+1} = min(lambda * V_i / B, W) (Clark et al., NSDI 2005, with a saturating working set;
// docs/MIGRATION.md; a second set makes a curve with two bends), and QEMU's stop rule: it looks at the dirty bitmap
// again as soon as what is left fits the downtime limit, so a saturated round ends with B * D unsent. Bytes are doubles
// here, times in seconds. Pure.

namespace ballast::drivers::simulated {

struct Dirtying {
    double rate = 0;         ///< lambda, bytes/s
    double working_set = 0;  ///< W, bytes
    double slow_rate = 0;    ///< of a second set beside the first
    double slow_set = 0;
};

/// Bytes that are dirty again after `seconds` of sending that left `unsent` of the last round's bytes: what the load
/// wrote, but no page twice and none that is still to be sent anyway.
[[nodiscard]] double newly_dirty(Dirtying load, double seconds, double unsent);

/// What QEMU may leave for the downtime: B * D.
[[nodiscard]] double stop_threshold(double bandwidth, double downtime_limit_s);

/// How much of `dirty` bytes a round sends before the bitmap is read again. The first round goes over all memory: the
/// zero pages at its end hide the threshold.
[[nodiscard]] double round_goal(int round, double dirty, double threshold, double bandwidth);

}  // namespace ballast::drivers::simulated
