#pragma once
// The last statistics of every host and VM: published per sweep as an immutable value, in memory only, never through
// the store's writer (ARCHITECTURE.md 2, SAFETY.md 14). Who asks for the table makes the board copy its list of hosts,
// not their VMs, and only where something was published since. StatsBoard is thread-safe; StatsTable and HostSample
// never change once given out.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "core/ids.h"
#include "core/units.h"
#include "drivers/types.h"

namespace ballast::reconcile {

struct VmSample {
    drivers::DomainStats stats;
    std::optional<double> cpus_used;  ///< since the sweep before; nullopt: first seen now
};

struct HostSample {
    HostId host;
    Timestamp time;
    std::chrono::steady_clock::time_point monotonic;
    drivers::HostStats stats;        ///< its `domains` are empty: they are in `vms`
    std::optional<double> cpu_load;  ///< busy share of all cores since the sweep before, 0 to 1
    std::unordered_map<VmId, VmSample> vms;
};

struct StatsTable {
    std::map<HostId, std::shared_ptr<const HostSample>> hosts;

    [[nodiscard]] const HostSample* find(const HostId& host) const;
    /// The VM as that host saw it last, or nullptr.
    [[nodiscard]] const VmSample* find(const HostId& host, const VmId& vm) const;
};

/// Pure: the sample of this sweep, with rates against the one before (may be null).
[[nodiscard]] HostSample make_sample(const HostId& host, drivers::HostStats swept, Timestamp time,
                                     std::chrono::steady_clock::time_point monotonic, const HostSample* before);

class StatsBoard {
  public:
    [[nodiscard]] std::shared_ptr<const StatsTable> now() const;
    /// One host's last sample, or nullptr.
    [[nodiscard]] std::shared_ptr<const HostSample> find(const HostId& host) const;
    void publish(HostSample sample);
    void forget(const HostId& host);

  private:
    mutable std::mutex mutex_;
    StatsTable table_;
    mutable std::shared_ptr<const StatsTable> given_out_;  ///< nullptr: out of date
};

}  // namespace ballast::reconcile
