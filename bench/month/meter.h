#pragma once
// Plays the month under a policy and measures it: demand beyond a host's cores, second by second, whatever the policy
// thinks of it. A migration takes the time that its bytes take on the hosts' links, two at once per host, costs a core
// on either side while it runs, and needs the VM's memory on both.

#include <memory>
#include <string>
#include <vector>

#include "bench/month/world.h"

namespace ballast::bench {

struct MonthMove {
    int vm = 0;
    int to = 0;
};

/// What a policy may know.
struct MonthView {
    const MonthWorld& world;
    int slot = 0;                     ///< that begins now; demand is known of those before
    const std::vector<int>& at;       ///< host of each VM
    const std::vector<double>& used;  ///< cores that each host's VMs demanded in the slot before
    const std::vector<std::int64_t>& promised;
    const std::vector<bool>& moving;  ///< VMs on their way
};

class Policy {
  public:
    virtual ~Policy() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    /// Moves that are to begin in this slot, in their order. Those that memory or lanes do not allow now are dropped.
    [[nodiscard]] virtual std::vector<MonthMove> decide(const MonthView& view) = 0;
};

struct MonthResult {
    double contention_core_s = 0;  ///< demand beyond the cores of its host
    double contended_host_s = 0;   ///< seconds in which a host had more demand than cores
    int migrations = 0;
    int returns = 0;       ///< moves to a host on which the VM had been before
    int returns_soon = 0;  ///< the same within six hours of leaving it
    double energy_kwh = 0;
    double seconds = 0;  ///< of this machine, the policy's own
};

[[nodiscard]] MonthResult play(const MonthWorld& world, Policy& policy);

}  // namespace ballast::bench
