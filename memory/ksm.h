#pragma once
// KSM of one host: how fast to scan, by what it gains. Decides settings; writes nothing. Pure.
//
// libvirt shows and sets three values: pages_to_scan (p), sleep (s) and merging across NUMA nodes. So pausing is p = 0,
// and what a scan costs is computed from a time per page (t), calibrated per host:
//   scanned per second = p / (s + p t),   CPU share = p t / (s + p t),   p for a share c: c s / ((1 - c) t).
// gain = pages saved per CPU second, over windows of a whole pass (the first: two, as the first pass only takes
// checksums). It scans at the capped share while that is worth it, slower as the gain falls, and rests when it is not.
//
// `run = 0` and the kernel's advisor cannot be read through libvirt. They are noticed by their effect: counters that
// stand still although two passes should be done, a scan rate that is not the one that was set. Both are said, neither
// is fought.

#include <optional>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "memory/facts.h"
#include "memory/policy.h"

namespace ballast::memory {

struct KsmOptions {
    double seconds_per_page = 5e-6;   ///< of scanning; measured: 8.8 us for the two passes until a page is merged
    double seconds_per_break = 4e-6;  ///< of un-sharing a page; measured
    double worth = 1'000;             ///< pages saved per CPU second that are worth scanning for
    std::int64_t slowest = 64;        ///< pages at a time; below that it rests
    double under_pressure = 2;        ///< times the policy's CPU share
    Milliseconds rest{10 * 60'000};   ///< doubled by each time in a row that won nothing, three times at most
    Milliseconds window{60'000};      ///< the least time to judge by
    Milliseconds stand_back{60 * 60'000};
};

enum class KsmState : std::uint8_t { absent, off, plenty, scanning, resting, stopped, foreign };
BOOST_DESCRIBE_ENUM(KsmState, absent, off, plenty, scanning, resting, stopped, foreign)

/// The settings that were there right before Ballast's first: restored when it stops managing the host.
struct KsmFound {
    std::int64_t pages_to_scan = 0;
    bool merge_across_nodes = true;
    friend bool operator==(const KsmFound&, const KsmFound&) = default;
};
BOOST_DESCRIBE_STRUCT(KsmFound, (), (pages_to_scan, merge_across_nodes))

struct KsmMemo {
    std::optional<KsmFound> found;
    std::optional<std::int64_t> set;  ///< the scan rate that was decided last
    std::optional<bool> set_across;   ///< merging across NUMA nodes, once it was decided
    KsmState state = KsmState::off;
    Timestamp at;
    std::int64_t sharing = 0;   ///< at `at`
    std::int64_t counters = 0;  ///< a digest of all counters
    double still = 0;           ///< pages that should have been scanned since a counter moved
    Milliseconds still_for{0};
    Timestamp window_from;
    std::int64_t window_sharing = 0;
    double window_scanned = 0;
    double window_cpu = 0;
    bool first_window = true;
    double gain = 0;          ///< of the last window, pages per CPU second
    double unsharing = 0;     ///< of the saved pages, lost per second; below 0 while what was lost is merged again
    double lost = 0;          ///< pages that came apart of late and were not merged again yet
    Timestamp until;          ///< of a rest, or of standing back
    std::int64_t theirs = 0;  ///< what somebody else set
    Bytes registered;         ///< when it last began to rest
    int fruitless = 0;        ///< times in a row that it scanned and won nothing
    friend bool operator==(const KsmMemo&, const KsmMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(KsmMemo, (),
                      (found, set, set_across, state, at, sharing, counters, still, still_for, window_from,
                       window_sharing, window_scanned, window_cpu, first_window, gain, unsharing, lost, until, theirs,
                       registered, fruitless))

struct KsmTerms {
    Bytes registered;     ///< memory of the VMs that may share pages
    bool plenty = false;  ///< all maximums fit: nothing is won by sharing
    bool pressed = false;
    int numa_cells = 1;
    double cpu_share = 0;  ///< of one core, the policy's; 0: KSM is left as it is
};

struct KsmDecision {
    KsmState state = KsmState::absent;
    std::optional<std::int64_t> pages_to_scan = {};  ///< to be set; nothing: leave it
    std::optional<bool> merge_across_nodes = {};     ///< the same; only while nothing is shared (the kernel's rule)
    double cpu_share = 0;                            ///< an estimate: what it takes at that rate
    double gain = 0;                                 ///< pages saved per CPU second
    std::string why;
    friend bool operator==(const KsmDecision&, const KsmDecision&) = default;
};
BOOST_DESCRIBE_STRUCT(KsmDecision, (), (state, pages_to_scan, merge_across_nodes, cpu_share, gain, why))

struct KsmStep {
    KsmDecision decision;
    KsmMemo memo;
};

[[nodiscard]] KsmStep tune_ksm(const std::optional<KsmReading>& reading, const KsmTerms& terms, const KsmMemo& memo,
                               Timestamp now, const KsmOptions& options = {});

/// The settings to write when the host is no longer managed; nothing where they are as they were found.
[[nodiscard]] std::optional<KsmFound> restored(const KsmMemo& memo, const KsmReading& now);

/// Memory that is saved by sharing now.
[[nodiscard]] Bytes saved_by(const std::optional<KsmReading>& reading);

/// What un-sharing takes back within a time, at the rate seen so far, and what breaking those pages costs. Pages that
/// come apart and are merged again are not lost: guests that free and fill memory do that all the time.
struct Unsharing {
    Bytes memory;
    Milliseconds cpu_time{0};
    friend bool operator==(const Unsharing&, const Unsharing&) = default;
};
[[nodiscard]] Unsharing unsharing_within(const KsmMemo& memo, Bytes saved, Milliseconds time,
                                         const KsmOptions& options = {});

/// p for a CPU share of one core, at this sleep.
[[nodiscard]] std::int64_t pages_for_share(double share, std::int64_t sleep_ms, const KsmOptions& options = {});

}  // namespace ballast::memory
