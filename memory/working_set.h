#pragma once
// The working set of a VM, from what its balloon driver says. Decides what is known; acts on nothing. Pure.
//
// One reading says:  needed = balloon - usable + hot,  hot = hot_cache x (cache + kept) - kept,  cache = usable -
// unused usable (MemAvailable) is what the guest could give without swapping: free memory and most of its page cache. A
// part of the cache is in use, or the guest would read it again at once. `kept` of it the guest's kernel itself does
// not call usable: min(half of it, the low watermark) (Linux, si_mem_available()), so it is in the first term already.
// A guest that swaps in or has many major faults has less than it needs: then needed = balloon x (1 + growth), never
// above its maximum.
//
// size = max(needed, fast mean, slow mean): it rises at once, and falls slowly (Waldspurger, OSDI 2002, 6.3: the
// maximum of a slow mean, a fast one, and one with the current value in it). mean and deviation, for admission, are
// those of `needed` over about a day: West's weighted update (CACM 22(9), 1979), from a prior of (maximum -
// needed) / 4 that counts as one hour of watching. In its first minute a guest boots: what it needs then is only its
// first guess, which each reading makes anew.

#include <map>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "memory/facts.h"

namespace ballast::memory {

/// Whether a guest's figures can be used. If not, it counts at full size.
enum class Trust : std::uint8_t { trusted, no_driver, no_statistics, old, implausible };
BOOST_DESCRIBE_ENUM(Trust, trusted, no_driver, no_statistics, old, implausible)

struct WorkingSetOptions {
    Milliseconds fast{30'000};
    Milliseconds slow{10 * 60'000};
    Milliseconds day{24 * 3'600'000};  ///< mean and deviation, for admission
    Milliseconds prior{3'600'000};     ///< what the first guess of the deviation counts as
    Milliseconds boot{60'000};         ///< how long the first guess is made anew, at most as long as it counts
    Milliseconds oldest{60'000};       ///< older readings say nothing of now
    double hot_cache = 0.25;           ///< of the page cache
    double faults_per_second = 100;    ///< major faults that say that a guest lacks memory
    Bytes swapped_in = mebibytes(1);   ///< per second: the same
    double growth = 0.25;
};

/// What is kept of one VM between sweeps; bytes as doubles.
struct WorkingSetMemo {
    Timestamp at;     ///< of the last reading that was used; the epoch: none yet
    Timestamp first;  ///< of the first
    double fast = 0;
    double slow = 0;
    double mean = 0;
    double variance = 0;
    Milliseconds watched{0};
    Bytes swap_in;
    std::uint64_t major_faults = 0;
    friend bool operator==(const WorkingSetMemo&, const WorkingSetMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(WorkingSetMemo, (), (at, first, fast, slow, mean, variance, watched, swap_in, major_faults))

struct WorkingSet {
    Trust trust = Trust::no_statistics;
    Bytes size;            ///< what it needs, smoothed: rises at once and falls slowly
    Bytes needed;          ///< by the last reading alone
    Bytes mean;            ///< over about a day
    Bytes deviation;       ///< the standard deviation of what it needs, over that time
    Bytes page_cache;      ///< of what it has: could be dropped
    Bytes unused;          ///< of what it has: holds nothing
    double idle = 0;       ///< 1 - size / balloon, 0 to 1
    bool lacks = false;    ///< swaps in or faults: it needs more than it has
    bool guessed = false;  ///< mean and deviation are the first guess still
    std::string why;       ///< what is wrong with its figures; empty: nothing
    friend bool operator==(const WorkingSet&, const WorkingSet&) = default;
};
BOOST_DESCRIBE_STRUCT(WorkingSet, (),
                      (trust, size, needed, mean, deviation, page_cache, unused, idle, lacks, guessed, why))

struct Estimate {
    WorkingSet working_set;
    WorkingSetMemo memo;
};

/// One more reading. Never fails: figures that cannot be are named and count at full size.
[[nodiscard]] Estimate estimate(const VmMemory& vm, const WorkingSetMemo& before, Timestamp now,
                                const WorkingSetOptions& options = {});

/// Whether the guest has swapped in, or faulted, since that reading as one does that has less than it needs.
[[nodiscard]] bool lacks_memory(const GuestReading& reading, const WorkingSetMemo& before,
                                const WorkingSetOptions& options = {});

}  // namespace ballast::memory
