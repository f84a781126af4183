#pragma once
// What the memory controller is told: one sweep of a host and its VMs. Values only; whoever reads a host fills them.
// Pure.

#include <cstdint>
#include <optional>
#include <string>

#include "core/ids.h"
#include "core/units.h"
#include "core/vm.h"

namespace ballast::memory {

/// What a guest's balloon driver last said (virtio-balloon statistics by libvirt's names), with what QEMU itself knows:
/// `balloon` and `resident` come from the host and are never a guest's word.
struct GuestReading {
    Timestamp at;                    ///< when the guest wrote its part; the epoch: it never did
    Bytes balloon;                   ///< what the guest has now; without a balloon its maximum
    std::optional<Bytes> unused;     ///< MemFree
    std::optional<Bytes> usable;     ///< MemAvailable: what it could give without swapping
    std::optional<Bytes> available;  ///< MemTotal, as the guest sees it
    std::optional<Bytes> disk_caches;
    std::optional<Bytes> swap_in;  ///< since boot
    std::optional<Bytes> swap_out;
    std::optional<std::uint64_t> major_faults;  ///< since boot
    Bytes resident;                             ///< of the QEMU process; pages that KSM merged count in each
};

/// One VM: what it was promised, what it asks of others, what it was seen to use.
struct VmMemory {
    VmId id;
    std::string name;
    Bytes maximum;
    Bytes minimum;         ///< guaranteed; 0: the maximum
    Bytes overhead;        ///< of its QEMU process beside the guest's memory, as measured
    double shares = 1000;  ///< of memory beyond working sets; 0 counts as 1
    int priority = 0;      ///< the lowest is suspended first
    MemoryPolicy policy = MemoryPolicy::balanced;
    bool balloon = true;  ///< has the device, and no label `no-balloon`
    bool merge = true;    ///< may share pages
    bool boots = false;   ///< it was started so lately that its driver may still come
    bool migrating = false;
    bool may_suspend = false;
    std::string group;  ///< of VMs with alike pages: image and guest OS; empty: none
    GuestReading reading;
};

/// KSM's counters, in pages of 4 KiB, and its three settings; what libvirt shows of it.
struct KsmReading {
    std::int64_t pages_to_scan = 0;
    std::int64_t sleep_ms = 20;
    bool merge_across_nodes = true;
    std::int64_t pages_shared = 0;   ///< merged pages that are kept
    std::int64_t pages_sharing = 0;  ///< pages that were saved by them
    std::int64_t pages_unshared = 0;
    std::int64_t pages_volatile = 0;
    std::int64_t full_scans = 0;
};

/// The host. `pressure` and `swap_in` come from a node exporter where one is configured; libvirt does not give them.
struct HostMemory {
    Bytes total;
    Bytes free;
    Bytes cached;    ///< page cache and buffers; the files on tmpfs are in it
    Bytes reserved;  ///< for the host itself, by its settings
    std::optional<KsmReading> ksm;
    std::optional<double> pressure;         ///< PSI memory, some, avg10: share of time, 0 to 1
    std::optional<BytesPerSecond> swap_in;  ///< of the host
    Bytes suspend_space;                    ///< where a suspended VM's memory would be written
    Bytes coming;                           ///< VMs that wait for their start may fill so much at once
    int numa_cells = 1;
};

inline constexpr std::int64_t page_size = 4096;

}  // namespace ballast::memory
