#include "daemon/reconcile/registry.h"

#include <algorithm>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/reconcile/host_facts.h"
#include "daemon/reconcile/words.h"

namespace ballast::reconcile {

namespace asio = boost::asio;
using drivers::LinkState;

Registry::Registry(asio::any_io_executor loop, std::shared_ptr<store::Store> store, drivers::Catalog catalog,
                   RegistryOptions options)
    : pauses_(std::make_shared<Pauses>(std::move(loop))),
      store_(std::move(store)),
      catalog_(std::move(catalog)),
      options_(options) {}

Registry::~Registry() {
    stop();
}

void Registry::start() {
    subscription_ = store_->subscribe(pauses_->loop(), [weak = weak_from_this()](const std::vector<Event>& events) {
        if (auto self = weak.lock()) self->on_committed(events);
    });
    for (const auto& host : store_->snapshot()->hosts.rows()) follow(host->id);
}

void Registry::stop() {
    pauses_->end();
    subscription_.reset();
    for (auto& [id, link] : links_)
        if (link.driver) link.driver->close();
    links_.clear();
}

std::shared_ptr<drivers::HostDriver> Registry::find(const HostId& host) const {
    const auto at = links_.find(host);
    return at == links_.end() ? nullptr : at->second.driver;
}

Result<std::shared_ptr<drivers::HostDriver>> Registry::reachable(const HostId& host) const {
    const auto snapshot = store_->snapshot();
    const Host* row = snapshot->hosts.find(host);
    const auto at = links_.find(host);
    if (row == nullptr || row->state == HostState::removed)
        return fail(Code::not_found, "no host has the id '{}'; see `ballast host list`", host);
    const bool connected = at != links_.end() && at->second.driver &&
                           (at->second.sight.link == LinkState::up || at->second.sight.link == LinkState::slow) &&
                           at->second.sight.listed;
    if (connected && can_be_asked(row->state)) return at->second.driver;
    const std::string why = row->state_reason.empty() ? "its connection was just lost" : row->state_reason;
    return fail(Code::unavailable, "host {} can't be asked: {} since {}: {}", row->name, words(row->state),
                to_string(row->state_since), why);
}

std::shared_ptr<void> Registry::subscribe(Listener listener) {
    auto handle = std::make_shared<Listener>(std::move(listener));
    listeners_[handle.get()] = handle;
    return handle;
}

bool Registry::is_listed(const HostId& host) const {
    const auto at = links_.find(host);
    return at != links_.end() && at->second.sight.listed;
}

bool Registry::is_settling() const {
    return std::ranges::any_of(links_, [](const auto& one) {
        const HostSight& sight = one.second.sight;
        return sight.link != LinkState::unreachable && !sight.listed && sight.quarantine.empty();
    });
}

void Registry::on_committed(const std::vector<Event>& events) {
    bool vms_changed = false;
    for (const auto& event : events) {
        if (event.subject_kind == "host") follow(HostId(event.subject_id));
        vms_changed = vms_changed || event.subject_kind == "vm";
    }
    if (!vms_changed) return;
    const auto snapshot = store_->snapshot();
    snapshot->hosts.for_each([&](const Host& host) {  // a stale copy may have been resolved
        if (host.confirmed_dead && host.state == HostState::quarantined) write_state(host.id);
    });
}

/// Opens, closes or re-judges the host as its row says.
void Registry::follow(const HostId& host) {
    const auto snapshot = store_->snapshot();
    const Host* row = snapshot->hosts.find(host);
    const auto at = links_.find(host);
    if (row == nullptr || row->state == HostState::removed) {
        if (at != links_.end()) close(host);
        return;
    }
    if (at != links_.end() && at->second.uri != row->uri) close(host);
    if (!links_.contains(host)) open(*row);
    write_state(host);
}

void Registry::open(const Host& row) {
    Link& link = links_[row.id];
    link.uri = row.uri;
    link.sight.detail = "being connected";
    auto driver = catalog_.find(row.uri);
    if (!driver) {
        link.sight.link = LinkState::unreachable;
        link.sight.detail = driver.error().chain();
        return;
    }
    const drivers::EventSink sink = [loop = pauses_->loop(),
                                     weak = weak_from_this()](const drivers::DriverEvent& event) {
        asio::post(loop, [weak, event] {
            if (auto self = weak.lock()) self->on_driver_event(event);
        });
    };
    drivers::HostTarget target;
    target.id = row.id;
    target.uri = row.uri;
    target.connect_timeout = options_.connect_timeout;
    target.call_timeout = options_.call_timeout;
    auto opened = (*driver)->open(std::move(target), sink);
    if (!opened) {
        link.sight.link = LinkState::unreachable;
        link.sight.detail = opened.error().chain();
        return;
    }
    link.driver = *std::move(opened);
    if (const LinkState now = link.driver->link(); now != LinkState::connecting) {
        drivers::DriverEvent event;
        event.kind = drivers::DriverEvent::Kind::link;
        event.host = row.id;
        event.link = now;
        on_link(event);
    }
}

void Registry::close(const HostId& host) {
    const auto at = links_.find(host);
    if (at->second.driver) at->second.driver->close();
    links_.erase(at);
    retry_duplicates();
}

/// The host that a duplicate repeated may be gone.
void Registry::retry_duplicates() {
    for (auto& [id, link] : links_) {
        if (link.sight.quarantine.empty()) continue;
        link.sight.quarantine.clear();
        begin_bring_up(id);
    }
}

void Registry::on_driver_event(const drivers::DriverEvent& event) {
    if (!links_.contains(event.host)) return;
    if (event.kind == drivers::DriverEvent::Kind::link) on_link(event);
    if (event.kind == drivers::DriverEvent::Kind::inventory_changed && is_listed(event.host))
        pauses_->spawn(refresh_later(event.host), "refresh of a host");
    for (auto at = listeners_.begin(); at != listeners_.end();) {
        if (auto listener = at->second.lock()) {
            (*listener)(event);
            ++at;
        } else {
            at = listeners_.erase(at);
        }
    }
}

void Registry::on_link(const drivers::DriverEvent& event) {
    Link& link = links_.at(event.host);
    const bool is_connected = event.link == LinkState::up || event.link == LinkState::slow;
    const bool was_connected = link.sight.link == LinkState::up || link.sight.link == LinkState::slow;
    link.sight.link = event.link;
    link.sight.detail = event.detail;
    if (!is_connected) {
        link.sight.listed = false;
        link.sight.quarantine.clear();
        ++link.connection;
    } else if (!was_connected) {
        begin_bring_up(event.host);
    }
    write_state(event.host);
}

void Registry::begin_bring_up(const HostId& host) {
    Link& link = links_.at(host);
    link.sight.listed = false;
    ++link.connection;
    pauses_->spawn(bring_up(host, link.connection), "bringing up of a host");
}

Registry::Link* Registry::current(const HostId& host, std::uint64_t connection) {
    const auto at = links_.find(host);
    return at == links_.end() || at->second.connection != connection ? nullptr : &at->second;
}

asio::awaitable<void> Registry::bring_up(HostId host, std::uint64_t connection) {
    const auto self = shared_from_this();
    for (Milliseconds pause = options_.retry_pause;; pause = std::min(pause * 2, Milliseconds{30'000})) {
        const auto done = co_await bring_up_once(host, connection);
        Link* link = current(host, connection);
        if (link == nullptr || pauses_->ended()) co_return;
        if (done) {
            link->sight.listed = link->sight.quarantine.empty();
            write_state(host);
            co_return;
        }
        spdlog::warn("host {} can't be read yet: {}", host_name(*store_->snapshot(), host), done.error().chain());
        co_await Pauses::wait(pauses_, pause);
        if (current(host, connection) == nullptr) co_return;
    }
}

drivers::Task<> Registry::bring_up_once(HostId host, std::uint64_t connection) {
    Link* link = current(host, connection);
    if (link == nullptr) co_return Result<void>{};
    const auto driver = link->driver;
    BALLAST_CO_CHECK(co_await read_host(host, driver));
    link = current(host, connection);
    if (link == nullptr || !link->sight.quarantine.empty()) co_return Result<void>{};
    if (lister_) BALLAST_CO_CHECK(co_await lister_(host));
    co_return Result<void>{};
}

/// Facts first: they tell whether this host may be touched at all.
drivers::Task<> Registry::read_host(HostId host, std::shared_ptr<drivers::HostDriver> driver) {
    BALLAST_CO_TRY(const HostFacts facts, co_await driver->compute().read_facts());
    const auto duplicate = std::make_shared<std::string>();
    BALLAST_CO_CHECK(co_await store_->write({}, [=](store::Transaction& transaction) -> Result<void> {
        *duplicate = put_facts(transaction, host, facts);
        return {};
    }));
    if (!duplicate->empty()) {
        const auto at = links_.find(host);
        if (at != links_.end()) at->second.sight.quarantine = *duplicate;
        co_return Result<void>{};
    }
    BALLAST_CO_TRY(const auto pools, co_await driver->storage().list_pools());
    BALLAST_CO_CHECK(co_await store_->write({}, [=](store::Transaction& transaction) -> Result<void> {
        if (transaction.snapshot().hosts.find(host) != nullptr) put_pools(transaction, host, pools);
        return {};
    }));
    co_return Result<void>{};
}

drivers::Task<> Registry::refresh(HostId host) {
    const auto driver = find(host);
    if (!driver || !is_listed(host)) co_return fail(Code::unavailable, "host {} is not connected", host);
    BALLAST_CO_CHECK(co_await read_host(host, driver));
    co_return Result<void>{};
}

/// Several hints in a row are one reading.
asio::awaitable<void> Registry::refresh_later(HostId host) {
    const auto self = shared_from_this();
    if (links_.at(host).refreshing) co_return;
    links_.at(host).refreshing = true;
    co_await Pauses::wait(pauses_, Milliseconds{200});
    if (const auto at = links_.find(host); at != links_.end()) at->second.refreshing = false;
    const auto done = co_await refresh(host);
    if (!done) spdlog::debug("host {} was not read again: {}", host, done.error().chain());
}

void Registry::write_state(const HostId& host) {
    const auto at = links_.find(host);
    if (at == links_.end() || pauses_->ended()) return;
    at->second.write_again = true;
    if (std::exchange(at->second.writing, true)) return;
    pauses_->spawn(write_states(host), "writing of a host's state");
}

/// One write at a time per host, so that the last sight is what stays.
asio::awaitable<void> Registry::write_states(HostId host) {
    const auto self = shared_from_this();
    for (;;) {
        const auto at = links_.find(host);
        if (at == links_.end()) co_return;
        at->second.writing = std::exchange(at->second.write_again, false);
        if (!at->second.writing) co_return;
        const HostSight sight = at->second.sight;
        store::Change change = [host, sight](store::Transaction& transaction) -> Result<void> {
            const Host* row = transaction.snapshot().hosts.find(host);
            if (row == nullptr) return {};
            auto next = change_host(transaction.snapshot(), *row, sight, transaction.now());
            if (next) transaction.put(std::move(next->row), {next->kind, next->message});
            return {};
        };
        const auto done = co_await store_->write({}, std::move(change));
        if (!done) spdlog::warn("the state of host {} was not stored: {}", host, done.error().chain());
    }
}

}  // namespace ballast::reconcile
