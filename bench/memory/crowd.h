#pragma once
// A flash crowd, simulated second by second: the VMs of one host are idle for a while, then all wake at once. Guests
// have anonymous memory, a page cache, a swap device and a balloon; what they lack goes to swap and comes back at the
// speed of a disk. The same host under several controllers. Deterministic; sizes in bytes.

#include <memory>
#include <string>
#include <vector>

namespace ballast::bench {

struct CrowdGuest {
    double minimum = 0;
    double maximum = 0;
    double balloon = 0;
    double target = 0;
    double wants = 0;        ///< anonymous memory of what runs in it
    double wants_cache = 0;  ///< page cache it would fill if it could
    double anonymous = 0;    ///< of `wants`, in memory
    double swapped = 0;      ///< of `wants`, on its swap device
    double cache = 0;
    double resident = 0;
    double swap_in = 0;  ///< since boot
    double major_faults = 0;
    double faults_before = 0;  ///< the wake
    double back_at = -1;       ///< seconds after the wake; below 0: not yet
};

struct CrowdHost {
    double total = 0;
    double own = 0;       ///< of the host itself
    double overhead = 0;  ///< of each QEMU process
    double free = 0;
    bool reporting = true;  ///< guests report free pages: what they do not use is not resident
};

class CrowdController {
  public:
    virtual ~CrowdController() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual int period() const = 0;  ///< seconds
    /// Sets the guests' targets.
    virtual void act(const CrowdHost& host, std::vector<CrowdGuest>& guests, int second) = 0;
};

[[nodiscard]] std::unique_ptr<CrowdController> ballast_controller();
[[nodiscard]] std::unique_ptr<CrowdController> mom_controller();
[[nodiscard]] std::unique_ptr<CrowdController> proxmox_controller();
/// Moves no balloon.
[[nodiscard]] std::unique_ptr<CrowdController> no_controller();

struct CrowdCase {
    std::string name;
    double host_gib = 64;
    bool fits = true;  ///< all of it, woken
    int small = 30;    ///< VMs that wake to small_gib
    double small_gib = 1.0;
    int large = 10;
    double large_gib = 1.8;
    double idle_gib = 0.3;
    double cache_gib = 0.2;  ///< page cache that an idle VM would fill
    bool reporting = true;
    int idle_seconds = 3'600;
    int crowd_seconds = 1'200;
};

/// The same crowd on a host that has the maximum of every guest: what nobody can beat, as nobody has to wait for
/// memory.
[[nodiscard]] CrowdCase with_memory_for_all(CrowdCase crowd);

struct CrowdResult {
    double mean_back_s = 0;  ///< until a VM has its working set in memory; crowd_seconds for one that never has
    double last_back_s = 0;
    int never_back = 0;
    double major_faults = 0;  ///< of all guests, from the wake on
    double free_minimum = 0;  ///< of the host, of its total
    int critical_s = 0;       ///< seconds with less than 2 % of the host free
    int swapping_s = 0;       ///< seconds in which the host had nothing free
};

[[nodiscard]] CrowdResult play(const CrowdCase& crowd, CrowdController& controller);

}  // namespace ballast::bench
