#pragma once
// What became of the memory of hosts, rolled up: every 10 s for an hour, every minute for a day, every 10 minutes for a
// month. A row holds the means of its time and its worst: the highest level and risk, the least free memory. Rows are
// no entities: no events, no snapshot.
//
// One small transaction each 10 s, whatever the number of hosts and sweeps: `note` only adds up until its 10 s are
// over. A crash or a stop loses these 10 s and nothing else; minutes are made from rows that are written.
//
// Size: a row is 155 bytes and a host has 360 + 1,440 + 4,320 of them, 0.95 MB: 500 hosts are 475 MB after a month, and
// a round of theirs writes 110 KB. The month of one host is read in some 50 ms, on a reader's thread.
//
// Thread rule: the loop thread.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/ids.h"
#include "core/units.h"
#include "daemon/store/store.h"

namespace ballast::store {

/// The ledger of a host (memory/ledger.h), as the store keeps it.
struct MemoryFigures {
    Bytes total;
    Bytes guest_in_use;
    Bytes page_cache;
    Bytes guest_unused;
    Bytes shared;
    Bytes overhead;
    Bytes host_cache;
    Bytes host_own;
    Bytes reserve;
    Bytes free;
    Bytes saved;
    Bytes promised;
    Bytes ballooned;
    Bytes never_touched;
    friend bool operator==(const MemoryFigures&, const MemoryFigures&) = default;
};
BOOST_DESCRIBE_STRUCT(MemoryFigures, (),
                      (total, guest_in_use, page_cache, guest_unused, shared, overhead, host_cache, host_own, reserve,
                       free, saved, promised, ballooned, never_touched))

/// One sweep of a host.
struct MemoryPoint {
    HostId host;
    MemoryFigures figures;
    Bytes unmet;
    double risk = 0;
    int level = 0;  ///< 0 comfortable to 3 critical
    int vms = 0;
};

/// Some time of a host.
struct MemoryRow {
    Timestamp at;  ///< its begin
    HostId host;
    Seconds watched{0};     ///< of that time
    MemoryFigures figures;  ///< means
    Bytes least_free;
    Bytes most_unmet;
    double risk = 0;  ///< the highest
    int level = 0;    ///< the worst
    int vms = 0;      ///< the most
    friend bool operator==(const MemoryRow&, const MemoryRow&) = default;
};

struct MemoryResolution {
    Seconds step;
    Seconds kept;
    friend bool operator==(const MemoryResolution&, const MemoryResolution&) = default;
};
/// Each is made from the one before it.
inline constexpr std::array memory_resolutions{
    MemoryResolution{Seconds(10), Seconds(3'600)},
    MemoryResolution{Seconds(60), Seconds(24 * 3'600)},
    MemoryResolution{Seconds(600), Seconds(30 * 24 * 3'600)},
};

struct MemoryHistoryQuery {
    HostId host;
    MemoryResolution resolution = memory_resolutions.front();
    Timestamp from;   ///< the first time, the rows that begin then or later
    Timestamp until;  ///< rows that begin before it
    int limit = 1000;
};

class MemoryHistory {
  public:
    virtual ~MemoryHistory() = default;
    /// The latest sweeps of hosts, at any pace. Writes what is over; mostly there is nothing to write.
    virtual Task<> note(std::vector<MemoryPoint> points) = 0;
    /// The newest `limit` rows of that time, oldest first. Times without a row were not watched.
    virtual Task<std::vector<MemoryRow>> read(MemoryHistoryQuery query) = 0;
};

}  // namespace ballast::store
