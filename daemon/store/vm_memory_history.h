#pragma once
// What became of the memory of VMs, rolled up: every minute for a day, every 10 minutes for a month. A row holds the
// means of its time, and for how long the guest lacked memory. Rows are no entities: no events, no snapshot.
//
// Not every 10 s, as for hosts (memory_history.h): there are some forty VMs on a host, and what a guest needs is
// smoothed over 30 s and more anyway. One small transaction each minute, whatever the number of VMs; a crash or a stop
// loses the minute that is open and nothing else.
//
// Size: a row takes 21 bytes, as 54 VMs share one record of the database (vm_memory_pages.h); a VM has 1,440 + 4,320 of
// them, 118 KiB. 500 hosts with 40 VMs each are 2.4 GB after a month, and write 380 KB a minute in 371 records. At 10 s
// for an hour, as hosts have it, they would write six times as often for figures that hardly differ. Amounts are whole
// MiB.
//
// Thread rule: the loop thread.

#include <array>

#include "daemon/store/memory_history.h"

namespace ballast::store {

struct VmMemoryFigures {
    Bytes balloon;      ///< what the guest has
    Bytes working_set;  ///< what it needs; of one that is not believed: its maximum
    Bytes page_cache;   ///< of what it has: could be dropped
    Bytes resident;     ///< of its QEMU process
    friend bool operator==(const VmMemoryFigures&, const VmMemoryFigures&) = default;
};
BOOST_DESCRIBE_STRUCT(VmMemoryFigures, (), (balloon, working_set, page_cache, resident))

/// One sweep of a VM.
struct VmMemoryPoint {
    VmId vm;
    VmMemoryFigures figures;
    bool lacks = false;    ///< it swaps or faults
    bool believed = true;  ///< its figures are
};

/// Some time of a VM.
struct VmMemoryRow {
    Timestamp at;             ///< its begin
    Seconds watched{0};       ///< of that time
    VmMemoryFigures figures;  ///< means
    Seconds lacked{0};        ///< of what was watched
    bool believed = true;     ///< all the time
    friend bool operator==(const VmMemoryRow&, const VmMemoryRow&) = default;
};

/// The second is made from the first.
inline constexpr std::array vm_memory_resolutions{memory_resolutions[1], memory_resolutions[2]};

struct VmMemoryHistoryQuery {
    VmId vm;
    MemoryResolution resolution = vm_memory_resolutions.front();
    Timestamp from;   ///< the first time, the rows that begin then or later
    Timestamp until;  ///< rows that begin before it
    int limit = 1000;
};

class VmMemoryHistory {
  public:
    virtual ~VmMemoryHistory() = default;
    /// The latest sweeps of VMs, at any pace. Writes what is over; mostly there is nothing to write.
    virtual Task<> note(std::vector<VmMemoryPoint> points) = 0;
    /// The newest `limit` rows of that time, oldest first. Times without a row were not watched.
    virtual Task<std::vector<VmMemoryRow>> read(VmMemoryHistoryQuery query) = 0;
};

}  // namespace ballast::store
