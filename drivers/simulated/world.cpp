#include "drivers/simulated/world.h"

#include <algorithm>

#include <boost/asio/steady_timer.hpp>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

const Instant epoch{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};
/// How long a host has been up when a world begins.
constexpr std::chrono::days up_before{30};

/// A common server, where the model says nothing.
void fill_in(HostModel& host, const std::string& uuid) {
    HostFacts& facts = host.facts;
    if (facts.host_uuid.empty()) facts.host_uuid = uuid;
    if (facts.hostname.empty()) facts.hostname = host.name;
    if (facts.architecture.empty()) facts.architecture = "x86_64";
    if (facts.libvirt_version == 0) facts.libvirt_version = 9'000'000;
    if (facts.qemu_version == 0) facts.qemu_version = 7'002'000;
    if (facts.cpus == 0) facts.cpus = 16;
    if (facts.memory.count() == 0) facts.memory = gibibytes(64);
    if (facts.cpu_model.empty()) facts.cpu_model = "EPYC";
    if (facts.cpu_models.empty()) facts.cpu_models = {"EPYC", "qemu64"};
    if (facts.machine_types.empty()) facts.machine_types = {"pc-q35-7.2", "pc-i440fx-7.2"};
    if (facts.accelerators.empty()) facts.accelerators = {"kvm", "qemu"};
    if (facts.numa.empty()) facts.numa = {{0, facts.memory, facts.cpus}};
    if (facts.networks.empty()) facts.networks = {{"default", true, "virbr0"}};
    if (facts.bridges.empty()) facts.bridges = {"virbr0"};
}

}  // namespace

/// Turns real time into virtual time on a loop. It holds the world weakly: the world's end is its own.
class World::Ticker : public std::enable_shared_from_this<World::Ticker> {
  public:
    Ticker(std::weak_ptr<World> world, boost::asio::any_io_executor executor, double speed)
        : world_(std::move(world)), timer_(std::move(executor)), speed_(speed) {}

    void tick() {
        timer_.expires_after(std::chrono::milliseconds(2));
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
            const auto world = self->world_.lock();
            if (error || !world || world->ticker_ != self) return;
            const auto real = std::chrono::steady_clock::now();
            self->owed_ += std::chrono::duration<double, std::milli>(real - self->last_).count() * self->speed_;
            self->last_ = real;
            const auto whole = static_cast<std::int64_t>(self->owed_);
            self->owed_ -= static_cast<double>(whole);
            world->advance(Milliseconds(whole));
            self->tick();
        });
    }

  private:
    std::weak_ptr<World> world_;
    boost::asio::steady_timer timer_;
    double speed_;
    double owed_ = 0;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

World::World(std::uint64_t seed, Timing timing, std::optional<Timestamp> start)
    : state_(std::make_unique<State>(seed, start ? Instant(*start) : epoch)) {
    state_->timing = timing;
}

World::~World() = default;

std::shared_ptr<World> World::make(std::uint64_t seed, Timing timing, std::optional<Timestamp> start) {
    return std::shared_ptr<World>(new World(seed, timing, start));
}

Result<void> World::add_host(HostModel host) {
    BALLAST_CHECK(check_name("host", host.name));
    return with([&](State& state) -> Result<void> {
        if (state.hosts.contains(host.name)) return fail(Code::already_exists, "host '{}' exists already", host.name);
        SeededIds ids(state.random());
        fill_in(host, ids.uuid());
        SimHost& made = state.hosts[host.name];
        for (PoolModel pool : host.pools) {
            if (pool.store.empty()) pool.store = host.name + ":" + pool.name;
            state.stores[pool.store].capacity = pool.capacity;
            made.pools[pool.name].model = pool;
        }
        made.model = host;
        made.memory.scanner = host.ksm;
        made.memory.settled = made.cpu_settled = state.time.now();
        made.booted = made.cpu_settled - up_before;
        return {};
    });
}

Result<void> World::add_vm(const std::string& host, const DomainDefinition& definition, bool running) {
    return with([&](State& state) -> Result<void> {
        if (state.find_host(host) == nullptr) return fail(Code::not_found, "no host '{}'", host);
        BALLAST_CHECK(state.define(host, definition));
        state.domain(host, definition.id).value()->stamp.reset();
        if (!running) return {};
        BALLAST_CHECK(state.start(host, definition.id));
        SimDomain& started = **state.domain(host, definition.id);
        started.started = state.hosts.at(host).booted;  // long since
        state.age_memory(state.hosts.at(host), started);
        return {};
    });
}

Result<std::string> World::add_volume(const std::string& host, const NewVolume& volume) {
    return with([&](State& state) -> Result<std::string> {
        if (state.find_host(host) == nullptr) return fail(Code::not_found, "no host '{}'", host);
        BALLAST_TRY(const VolumeView made, state.create_volume(host, volume));
        return made.path;
    });
}

void World::at(Milliseconds after, std::function<void(World&)> act) {
    with([&](State& state) {
        state.time.after(
            after, [&state, this, act = std::move(act)] { state.outbox.emplace_back([this, act] { act(*this); }); });
    });
}

void World::set_link(const std::string& a, const std::string& b, BytesPerSecond bandwidth) {
    with([&](State& state) {
        state.link_between(a, b).bandwidth = bandwidth;
        if (state.hosts.contains(a) && state.hosts.contains(b)) state.share_links(a, b);
    });
}

void World::set_load(const VmId& vm, GuestLoad load) {
    with([&](State& state) { state.set_load(vm, std::move(load)); });
}

void World::set_common_load(GuestLoad load) {
    with([&](State& state) { state.common_load = load; });
}

Timestamp World::now() const {
    const std::scoped_lock lock(mutex_);
    return std::chrono::floor<Milliseconds>(state_->time.now());
}

bool World::fire(Milliseconds limit) {
    const Delivery delivery(*this);
    const std::scoped_lock lock(mutex_);
    const auto act = state_->time.take(state_->time.now() + limit);
    if (act) (*act)();
    return act.has_value();
}

void World::advance(Milliseconds by) {
    const Instant end = with([&](State& state) { return state.time.now() + by; });
    for (;;) {
        const Delivery delivery(*this);
        const std::scoped_lock lock(mutex_);
        const auto act = state_->time.take(end);
        if (!act) {
            state_->time.move_to(end);
            return;
        }
        (*act)();
    }
}

bool World::step(Milliseconds limit) {
    if (!fire(limit)) return false;
    while (fire(Milliseconds(0))) {
    }
    return true;
}

std::optional<Timestamp> World::next_event() const {
    const std::scoped_lock lock(mutex_);
    const auto next = state_->time.next();
    if (!next) return std::nullopt;
    return std::chrono::ceil<Milliseconds>(*next);
}

void World::run_until_idle(Milliseconds limit) {
    const Instant end = with([&](State& state) { return state.time.now() + limit; });
    while (with([&](State& state) { return state.time.now() < end; }) && step(limit)) {
    }
}

void World::follow_real_time(boost::asio::any_io_executor executor, double speed) {
    auto ticker = std::make_shared<Ticker>(weak_from_this(), std::move(executor), speed);
    {
        const std::scoped_lock lock(mutex_);
        state_->counted = 1 / speed;
        ticker_ = ticker;
    }
    ticker->tick();
}

void World::deliver() {
    std::unique_lock lock(mutex_);
    if (delivering_) return;  // whoever delivers just now takes what is new as well, in order
    delivering_ = true;
    while (!state_->outbox.empty()) {
        auto next = std::move(state_->outbox.front());
        state_->outbox.pop_front();
        lock.unlock();
        next();
        lock.lock();
    }
    delivering_ = false;
}

std::optional<DomainView> World::find_domain(const std::string& host, const VmId& vm) const {
    const std::scoped_lock lock(mutex_);
    const auto found = state_->domain(host, vm);
    if (!found) return std::nullopt;
    return view_of(**found);
}

std::vector<std::string> World::running_copies(const VmId& vm) const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, host] : state_->hosts) {
        const auto found = host.domains.find(vm);
        if (found != host.domains.end() && executes(found->second.state)) names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
}

std::optional<HostPressure> World::pressure_of(const std::string& host) {
    return with([&](State& state) -> std::optional<HostPressure> {
        SimHost* at = state.find_host(host);
        return at == nullptr ? std::nullopt : state.pressure_of(*at);
    });
}

std::optional<GuestMemory> World::memory_of(const std::string& host, const VmId& vm) {
    return with([&](State& state) -> std::optional<GuestMemory> {
        SimHost* at = state.find_host(host);
        if (at == nullptr) return std::nullopt;
        state.settle_memory(*at);
        const auto found = at->domains.find(vm);
        if (found == at->domains.end() || !is_active(found->second.state) || !state.load_of(vm).memory)
            return std::nullopt;
        return found->second.memory;
    });
}

std::vector<std::string> World::damage() const {
    const std::scoped_lock lock(mutex_);
    return state_->damage;
}

Faults World::faults() {
    return Faults(shared_from_this());
}

}  // namespace ballast::drivers::simulated
