#pragma once
// The hosts as live connections: opens a driver for each host row, follows its link state into the row, and hands the
// connection to those who act. It decides nothing about VMs (the reconciler does) and never writes to a host. Loop
// thread only.

#include <functional>
#include <memory>

#include "core/ids.h"
#include "drivers/driver.h"

namespace ballast::reconcile {

class HostRegistry {
  public:
    virtual ~HostRegistry() = default;
    /// The host's connection whatever its state; nullptr when the host is unknown.
    [[nodiscard]] virtual std::shared_ptr<drivers::HostDriver> find(const HostId& host) const = 0;
    /// The connection of a host that can be asked now. Errors: not_found, unavailable (names the host, its state, since
    /// when, and why).
    [[nodiscard]] virtual Result<std::shared_ptr<drivers::HostDriver>> reachable(const HostId& host) const = 0;
    /// Every event of every host, on the loop, until the returned handle is dropped (rounds and ends of migrations, for
    /// those who watch them).
    [[nodiscard]] virtual std::shared_ptr<void> subscribe(std::function<void(const drivers::DriverEvent&)> listener) {
        static_cast<void>(listener);
        return nullptr;
    }
};

/// Looks at one VM on the hosts now and writes what is true: jobs call it after an act so that the inventory does not
/// wait for an event.
class Observer {
  public:
    virtual ~Observer() = default;
    /// Re-reads the VM on every host that may hold it and commits the difference. `job` marks the change as Ballast's
    /// own.
    virtual drivers::Task<> observe(VmId vm, JobId job) = 0;
    /// Lists a whole host again.
    virtual drivers::Task<> observe_host(HostId host) = 0;
    /// Proves by nonces which pools two hosts share, probes trust and versions, stores the HostPair (SAFETY.md 6 and
    /// 9).
    virtual drivers::Task<HostPair> check_pair(HostId from, HostId to) = 0;
};

}  // namespace ballast::reconcile
