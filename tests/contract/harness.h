#pragma once
// What the contract suite needs to know of a kind of hosts: how to reach them, and what they can do at all. One Harness
// per driver; the tests know nothing else of it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "drivers/driver.h"

namespace ballast::testing {

struct HostAddress {
    HostId id;
    std::string uri;
    std::string peer_uri;       ///< as the other hosts reach it
    std::string migration_uri;  ///< tcp://address; empty: libvirt's choice
};

/// What some hosts can't do, however good the driver is (libvirt's test:///default has no QEMU behind it).
struct Abilities {
    bool migrates = true;
    bool has_console = true;
    bool has_content = true;  ///< volumes hold bytes
    bool has_backing = true;  ///< volumes have copy-on-write parents
    bool is_mock = false;     ///< no hypervisor behind it: few facts, no figures, coarse error codes
    bool keeps_all = true;    ///< the definition comes back with every device as it was written
};

class Harness {
  public:
    virtual ~Harness() = default;
    [[nodiscard]] virtual drivers::Driver& driver() = 0;
    [[nodiscard]] virtual std::vector<HostAddress> hosts() const = 0;
    [[nodiscard]] virtual Abilities abilities() const { return {}; }
    /// A guest that boots without a disk; id and name are set by the suite.
    [[nodiscard]] virtual drivers::DomainDefinition guest() const = 0;
    /// A directory pool, one storage on all hosts.
    [[nodiscard]] virtual std::string pool() const = 0;
    /// A directory pool with one path on all hosts and another storage behind it on each; empty: none.
    [[nodiscard]] virtual std::string local_pool() const { return {}; }
    /// An address in this driver's scheme where no host answers.
    [[nodiscard]] virtual std::string unreachable_uri() const = 0;
    /// The scheme of somebody else.
    [[nodiscard]] virtual std::string foreign_uri() const { return "nobody://speaks/this"; }
    /// Sets libvirt's autostart flag as somebody with virsh does; false: this kind of hosts can't.
    virtual bool set_autostart(const std::string& host, const std::string& name, const VmId& vm) = 0;
    /// Lets the kernel's advisor of page merging set the scan rate; false: this kind of hosts has none.
    virtual bool advise_ksm(const std::string& /*host*/, bool /*on*/) { return false; }
    /// Makes the guest dirty and check its memory and say so at each heartbeat.
    virtual void make_busy(drivers::DomainDefinition&) const {}
    /// Heartbeats of a busy guest so far; -1 when one was lost or a page was not what it wrote.
    [[nodiscard]] virtual int beats(const VmId&) { return ++beats_; }
    /// The wire of a host: packets vanish (silent), or it has no carrier.
    virtual void cut(std::size_t /*host*/, bool /*silent*/) {}
    virtual void heal(std::size_t /*host*/) {}
    /// Called while the loop has nothing to do: virtual time goes on here.
    virtual void idle() {}

  private:
    int beats_ = 0;  ///< hosts without real guests: they always beat on
};

/// Makes the harness of one test. A harness that is dear to make is made once and shared.
struct HarnessMaker {
    std::string name;
    std::function<std::shared_ptr<Harness>()> make;
};
inline void PrintTo(const HarnessMaker& maker, std::ostream* out) {
    *out << maker.name;
}

}  // namespace ballast::testing
