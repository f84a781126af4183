#pragma once
// What a simulated cluster is made of: plain values, no behaviour. Tests and `ballastd --simulate` fill the parameters;
// the State's own book-keeping is in state.h.

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/units.h"
#include "core/vm.h"
#include "drivers/simulated/guest_memory.h"
#include "drivers/simulated/load.h"
#include "drivers/simulated/merging.h"
#include "drivers/types.h"

namespace ballast::drivers::simulated {

/// What the guest does with its memory, and how it answers ACPI. Belongs to the VM: it moves with it.
struct GuestLoad {
    std::optional<Bytes> touched = {};  ///< non-zero RAM, what a migration must send; none: half of the memory
    Bytes working_set = {};             ///< what the load writes to again and again
    BytesPerSecond dirty_rate = {};     ///< how fast it writes, in bytes of pages
    Bytes slow_set = {};                ///< a second, larger set that is written to more slowly
    BytesPerSecond slow_rate = {};      ///< how fast that is; both dirty pages at once
    double delta = 0.5;                 ///< share of a page that a write changes: what xbzrle still has to send
    bool answers_acpi = true;
    Milliseconds shutdown_time{500};
    Milliseconds boot_time{0};  ///< until the guest answers; it takes all of its vCPUs meanwhile
    CpuLoad cpu = {};
    double memory_swing = 0;   ///< share of the touched memory that is in use only as far as the vCPUs are
    std::string sharing = {};  ///< VMs of one group hold equal pages
    Bytes shared = {};         ///< how much of them
    /// What it does with its memory over time. None: `touched` is all that is known of it, it holds that whatever it
    /// does, has no cache, and its balloon follows at once.
    std::optional<MemoryLoad> memory = {};
};

/// What is wrong with a guest's balloon. Belongs to the VM: it moves with it.
struct GuestFaults {
    bool sticks = false;                      ///< the balloon does not move
    bool no_driver = false;                   ///< the guest has none: no statistics either
    bool silent = false;                      ///< its statistics stay as they were
    std::optional<Bytes> claims_unused = {};  ///< whatever it has, it says that so much is unused
};

/// How long things take. Zero: at once, so that tests need not move the clock for what they are not about.
struct Timing {
    Milliseconds call{0};                 ///< of each driver call
    Milliseconds migration_setup{200};    ///< the target's QEMU starts
    Milliseconds device_state{2};         ///< the part of a downtime that no bandwidth shortens
    Milliseconds broken_stream{1'000};    ///< until QEMU notices a hard cut in the pull phase
    Milliseconds peer_keepalive{30'000};  ///< until libvirt gives a peer up: a cut push phase fails then
    Milliseconds silent_stream{900'000};  ///< until TCP gives a silently dropped stream up
};

/// A pool on one host. Pools with one `store` are one storage (a shared pool); without, it is the host's own, whatever
/// its path says (SAFETY.md 9).
struct PoolModel {
    std::string name = "default";
    std::string path = "/var/lib/libvirt/images";
    std::string type = "dir";
    std::string store;
    Bytes capacity = gibibytes(100);
};

struct HostModel {
    std::string name;
    HostFacts facts;  ///< empty fields are filled with those of a common server
    std::vector<PoolModel> pools{PoolModel{}};
    BytesPerSecond link{1'250'000'000};  ///< of its network card, in each direction
    Milliseconds boot_time{0};           ///< from a revival until it can be reached
    double pull_share = 1;     ///< of a stream's speed that is left while the target pulls: it waits for faults
    double stopped_share = 1;  ///< the same of a guest that stands still from the start: idle cores are slow to wake
    std::optional<BytesPerSecond> stream = {};  ///< what one connection of a migration can carry; none: all of the link
    Bytes own = {};                             ///< memory that the host itself needs
    Bytes cache = {};                           ///< its own page cache, as far as there is room
    Bytes swap = gibibytes(8);                  ///< its swap device
    Bytes save_room = gibibytes(1'024);         ///< where running states are saved
    BytesPerSecond save_rate{500'000'000};
    Scanner ksm = {};  ///< as it is at boot
};

/// What a host's exporter says of its memory (in Linux: /proc/pressure/memory and /proc/vmstat), and what nobody says.
struct HostPressure {
    double some = 0;  ///< share of the last 10 s in which something waited for memory (PSI some avg10), 0 to 1
    BytesPerSecond swap_in;
    Bytes swapped;      ///< of QEMU processes, on the host's swap device
    int oom_kills = 0;  ///< QEMU processes that the kernel ended
    Bytes disk_free;    ///< where running states are saved
};

/// A calls' kind, for faults.
enum class Call : std::uint8_t {
    read_facts,
    list_domains,
    read_domain,
    define,
    undefine,
    start,
    shutdown,
    reboot,
    destroy,
    save,
    stamp,
    open_console,
    sweep,
    migrate,
    progress,
    completed,
    abort,
    start_post_copy,
    pause_post_copy,
    set_downtime_limit,
    set_bandwidth,
    start_dirty_rate,
    dirty_rate,
    resume,
    suspend,
    probe_peer,
    read_memory,
    set_balloon,
    set_ksm,
    list_pools,
    list_volumes,
    read_volume,
    create_volume,
    upload,
    read_head,
    delete_volume,
    refresh,
};

/// Whether an injected error comes instead of the call's effect or hides an effect that was made (outcome unknown);
/// `no_answer`: the effect is made and the call never returns, as of a libvirtd that hangs.
enum class When : std::uint8_t { before_effect, after_effect, no_answer };

/// Hard: the interface is down, QEMU notices soon. Silent: packets vanish and TCP waits.
enum class Cut : std::uint8_t { none, hard, silent };

}  // namespace ballast::drivers::simulated
