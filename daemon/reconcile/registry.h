#pragma once
// Registry: the hosts as live connections (host_registry.h). Opens a driver for every host row that is not removed,
// turns its link state into the row's state (host_verdict.h), and on each (re)connect reads facts and pools and has the
// domains listed before it calls the host up. The same machine under a second name is quarantined and left alone. It
// never writes to a host and decides nothing about VMs.
//
// Each host is brought up by a coroutine of its own, so a hung host delays nobody. Loop thread only; drivers' events
// are posted to it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "daemon/reconcile/host_registry.h"
#include "daemon/reconcile/host_verdict.h"
#include "daemon/reconcile/pause.h"
#include "daemon/store/store.h"
#include "drivers/catalog.h"

namespace ballast::reconcile {

struct RegistryOptions {
    Milliseconds connect_timeout{10'000};
    Milliseconds call_timeout{15'000};
    Milliseconds retry_pause{
        1'000};  ///< before a host is read again that failed while it was brought up; doubles to 30 s
};

class Registry final : public HostRegistry, public std::enable_shared_from_this<Registry> {
  public:
    /// Lists a connected host's domains into the inventory.
    using Lister = std::function<drivers::Task<>(HostId)>;
    using Listener = std::function<void(const drivers::DriverEvent&)>;

    Registry(boost::asio::any_io_executor loop, std::shared_ptr<store::Store> store, drivers::Catalog catalog,
             RegistryOptions options = {});
    ~Registry() override;
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    /// Before start(): who lists the domains (the reconciler).
    void set_lister(Lister lister) { lister_ = std::move(lister); }
    /// Opens every host of the inventory and follows it from now on. Needs to be owned by a shared_ptr.
    void start();
    /// Closes every connection. Idempotent.
    void stop();

    [[nodiscard]] std::shared_ptr<drivers::HostDriver> find(const HostId& host) const override;
    [[nodiscard]] Result<std::shared_ptr<drivers::HostDriver>> reachable(const HostId& host) const override;
    [[nodiscard]] std::shared_ptr<void> subscribe(Listener listener) override;

    /// Whether the host is connected and what it runs was listed since.
    [[nodiscard]] bool is_listed(const HostId& host) const;
    /// Whether some host is still being connected or listed, so that more may become known soon.
    [[nodiscard]] bool is_settling() const;
    /// Reads facts and pools again. Errors: unavailable, those of the driver.
    drivers::Task<> refresh(HostId host);

  private:
    struct Link {
        std::string uri;
        std::shared_ptr<drivers::HostDriver> driver;
        HostSight sight;
        std::uint64_t connection = 0;  ///< grows with each connect: what began under an old one ends
        bool refreshing = false;
        bool writing = false;
        bool write_again = false;
    };

    void follow(const HostId& host);
    void open(const Host& row);
    void close(const HostId& host);
    void on_committed(const std::vector<Event>& events);
    void on_driver_event(const drivers::DriverEvent& event);
    void on_link(const drivers::DriverEvent& event);
    void begin_bring_up(const HostId& host);
    void retry_duplicates();
    void write_state(const HostId& host);

    [[nodiscard]] Link* current(const HostId& host, std::uint64_t connection);
    boost::asio::awaitable<void> bring_up(HostId host, std::uint64_t connection);
    drivers::Task<> bring_up_once(HostId host, std::uint64_t connection);
    drivers::Task<> read_host(HostId host, std::shared_ptr<drivers::HostDriver> driver);
    boost::asio::awaitable<void> refresh_later(HostId host);
    boost::asio::awaitable<void> write_states(HostId host);

    std::shared_ptr<Pauses> pauses_;
    std::shared_ptr<store::Store> store_;
    drivers::Catalog catalog_;
    RegistryOptions options_;
    Lister lister_;
    std::map<HostId, Link> links_;
    std::map<const Listener*, std::weak_ptr<Listener>> listeners_;
    std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace ballast::reconcile
