#include "daemon/reconcile/reconciler.h"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/reconcile/autostart.h"
#include "daemon/reconcile/host_facts.h"
#include "daemon/reconcile/pair_check.h"

namespace ballast::reconcile {

namespace asio = boost::asio;
using Kind = drivers::DriverEvent::Kind;
using drivers::LinkState;

namespace {

/// Readings that are overtaken again and again: events keep them coming, and each brings the newest.
constexpr int most_observations = 4;

/// Hosts that left the inventory while VMs still name them (the daemon ended between the two).
std::set<HostId> left_hosts(const Snapshot& snapshot) {
    std::set<HostId> left;
    snapshot.vms.for_each([&](const Vm& vm) {
        for (const auto& one : vm.definitions) {
            const Host* host = snapshot.hosts.find(one.host);
            if (host == nullptr || host->state == HostState::removed) left.insert(one.host);
        }
    });
    return left;
}

}  // namespace

Reconciler::Reconciler(asio::any_io_executor loop, std::shared_ptr<store::Store> store,
                       std::shared_ptr<Registry> registry, std::shared_ptr<const Clock> clock,
                       std::shared_ptr<IdSource> ids, ReconcileOptions options)
    : pauses_(std::make_shared<Pauses>(std::move(loop))),
      store_(std::move(store)),
      registry_(std::move(registry)),
      clock_(std::move(clock)),
      options_(std::move(options)),
      jitter_(options_.jitter_seed != 0 ? static_cast<std::uint32_t>(options_.jitter_seed) : std::random_device{}()),
      applier_(std::make_shared<Applier>(store_)),
      board_(std::make_shared<StatsBoard>()),
      pairs_(std::make_shared<PairChecker>(pauses_, store_, registry_, clock_, std::move(ids), options_.pair_interval,
                                           options_.pair_look)) {}

Reconciler::~Reconciler() {
    stop();
}

void Reconciler::start() {
    registry_->set_lister([weak = weak_from_this()](HostId host) { return list_new(weak, std::move(host)); });
    driver_events_ = registry_->subscribe([weak = weak_from_this()](const drivers::DriverEvent& event) {
        if (auto self = weak.lock()) self->on_driver_event(event);
    });
    subscription_ = store_->subscribe(pauses_->loop(), [weak = weak_from_this()](const std::vector<Event>& events) {
        if (auto self = weak.lock()) self->on_committed(events);
    });
    for (const auto& host : left_hosts(*store_->snapshot())) lose(host, HostSaid::Kind::removed);
    pauses_->spawn(pairs_->keep_fresh(), "checking of pairs");
}

drivers::Task<> Reconciler::list_new(std::weak_ptr<Reconciler> weak, HostId host) {
    const auto self = weak.lock();
    if (!self) co_return fail(Code::cancelled, "the daemon stops");
    co_return co_await self->list(host, true);
}

void Reconciler::stop() {
    pauses_->end();
    driver_events_.reset();
    subscription_.reset();
    work_.clear();
}

Reconciler::Work* Reconciler::current(const HostId& host, std::uint64_t round) {
    const auto at = work_.find(host);
    return at == work_.end() || at->second.round != round || pauses_->ended() ? nullptr : &at->second;
}

std::set<HostId> hosts_of(const Snapshot& snapshot, const VmId& vm) {
    std::set<HostId> hosts;
    if (const Vm* row = snapshot.vms.find(vm)) {
        if (row->host) hosts.insert(*row->host);
        for (const auto& one : row->definitions) hosts.insert(one.host);
    }
    snapshot.claims.for_each([&](const Claim& claim) {
        if (claim.vm == vm) hosts.insert(claim.host);
    });
    snapshot.migrations.for_each([&](const Migration& migration) {
        if (migration.vm != vm || migration.finished) return;
        hosts.insert(migration.from);
        hosts.insert(migration.to);
    });
    return hosts;
}

// When to look.

void Reconciler::on_driver_event(const drivers::DriverEvent& event) {
    switch (event.kind) {
        case Kind::link:
            on_link(event);
            return;
        case Kind::domain_changed:
        case Kind::domain_removed:
        case Kind::job_completed:
            mark_dirty(event.host, event.vm);
            return;
        case Kind::migration_round:
        case Kind::inventory_changed:
            return;
    }
    std::unreachable();
}

/// The first `connecting` of a host that was not listed yet is no loss: its VMs keep what the inventory says until it
/// answers or is found unreachable.
void Reconciler::on_link(const drivers::DriverEvent& event) {
    const bool was_listed = work_.contains(event.host) && work_.at(event.host).listed;
    if (event.link == LinkState::unreachable || (event.link == LinkState::connecting && was_listed))
        lose(event.host, HostSaid::Kind::unreachable);
    // A slow host's events may have been lost.
    if (event.link == LinkState::up && was_listed) pauses_->spawn(list_again(event.host), "list of a host");
}

void Reconciler::on_committed(const std::vector<Event>& events) {
    const auto snapshot = store_->snapshot();
    for (const auto& event : events) {
        if (event.subject_kind == "job") {
            const Job* job = snapshot->jobs.find(JobId(event.subject_id));
            if (job != nullptr && is_finished(job->state)) on_job_ended(*job);
        }
        if (event.subject_kind != "host") continue;
        const HostId host(event.subject_id);
        const Host* row = snapshot->hosts.find(host);
        if (row == nullptr || row->state == HostState::removed) lose(host, HostSaid::Kind::removed);
    }
}

/// What the job held back (a transitional state, its owner) is decided by the hosts again.
void Reconciler::on_job_ended(const Job& job) {
    if (!job.vm.empty()) mark_dirty(*store_->snapshot(), job.vm);
}

void Reconciler::lose(const HostId& host, HostSaid::Kind kind) {
    applier_->void_readings(host);
    Work& work = work_[host];
    const std::uint64_t round = work.round + 1;
    work = Work{};
    work.round = round;
    if (kind == HostSaid::Kind::removed) board_->forget(host);
    pauses_->spawn(write_lost(host, kind), "marking of a lost host's VMs");
}

void Reconciler::mark_dirty(const Snapshot& snapshot, const VmId& vm) {
    for (const auto& host : hosts_of(snapshot, vm)) mark_dirty(host, vm);
}

void Reconciler::mark_dirty(const HostId& host, const VmId& vm) {
    const auto at = work_.find(host);
    if (at == work_.end() || !at->second.listed || vm.empty()) return;
    at->second.dirty.insert(vm);
    if (std::exchange(at->second.pump_waits, true)) return;
    pauses_->spawn(pump(host), "reading of changed domains");
}

void Reconciler::look_after(const Leftover& leftover) {
    for (const auto& [vm, hosts] : leftover.doubtful)
        if (proving_.insert(vm).second) pauses_->spawn(prove(vm, hosts), "proof of a conflict");
    for (const auto& vm : leftover.vanished)
        if (searching_.insert(vm).second) pauses_->spawn(search(vm), "search for a VM");
    for (const auto& vm : leftover.again)
        for (auto& [host, work] : work_)
            if (work.domains.contains(vm)) mark_dirty(host, vm);
}

// Looking.

drivers::Task<Reading> Reconciler::read(HostId host, VmId vm) {
    Reading reading;
    reading.vm = vm;
    reading.said.host = host;
    reading.ticket = applier_->ticket();
    reading.was_known = Applier::knows(*store_->snapshot(), vm);
    const auto driver = registry_->find(host);
    if (!driver) co_return fail(Code::unavailable, "host {} has no connection", host);
    auto view = co_await driver->compute().read_domain(vm);
    reading.said.time = clock_->now();
    if (!view && view.error().code() != Code::not_found) co_return std::unexpected(std::move(view).error());
    reading.said.kind = view ? HostSaid::Kind::defined : HostSaid::Kind::absent;
    if (view) reading.said.view = *std::move(view);
    co_return reading;
}

asio::awaitable<Result<void>> Reconciler::apply(std::vector<Reading> readings, Cause cause) {
    for (const auto& reading : readings) {
        const auto at = work_.find(reading.said.host);
        if (at == work_.end()) continue;
        if (reading.said.kind == HostSaid::Kind::defined) at->second.domains.insert(reading.vm);
        if (reading.said.kind == HostSaid::Kind::absent) at->second.domains.erase(reading.vm);
    }
    BALLAST_CO_TRY(const Leftover leftover, co_await applier_->apply(std::move(readings), std::move(cause)));
    look_after(leftover);
    co_return Result<void>{};
}

asio::awaitable<void> Reconciler::pump(HostId host) {
    const auto self = shared_from_this();
    co_await Pauses::wait(pauses_, options_.settle);
    const auto at = work_.find(host);
    if (at == work_.end() || pauses_->ended()) co_return;
    Work& work = at->second;
    work.pump_waits = false;
    for (auto vm = work.dirty.begin(); vm != work.dirty.end() && work.reading.size() < options_.reads_per_host;) {
        if (!work.reading.insert(*vm).second) {
            ++vm;  // once its reading ends
            continue;
        }
        pauses_->spawn(read_dirty(host, *vm, work.round), "reading of a domain");
        vm = work.dirty.erase(vm);
    }
}

asio::awaitable<void> Reconciler::read_dirty(HostId host, VmId vm, std::uint64_t round) {
    const auto self = shared_from_this();
    auto reading = co_await read(host, vm);
    Result<void> done;
    if (reading) {
        std::vector<Reading> one{*std::move(reading)};
        done = co_await apply(std::move(one), {});
    } else {
        done = std::unexpected(std::move(reading).error());
    }
    Work* work = current(host, round);
    if (work == nullptr) co_return;
    work->reading.erase(vm);
    if (done) {
        work->failures.erase(vm);
    } else {
        const int failures = std::min(++work->failures[vm], 7);
        const Milliseconds pause = std::min(options_.retry_pause * (1 << (failures - 1)), Milliseconds{60'000});
        spdlog::warn("vm={} host={} can't be read, again in {}: {}", vm, host, to_string(pause), done.error().chain());
        pauses_->spawn(read_again(host, vm, round, pause), "reading of a domain again");
    }
    if (!work->dirty.empty() && !std::exchange(work->pump_waits, true))
        pauses_->spawn(pump(host), "reading of changed domains");
}

asio::awaitable<void> Reconciler::read_again(HostId host, VmId vm, std::uint64_t round, Milliseconds pause) {
    const auto self = shared_from_this();
    co_await Pauses::wait(pauses_, pause);
    if (current(host, round) != nullptr) mark_dirty(host, vm);
}

/// When the host booted, if that was lately. A host that can't say is taken as one that did not.
asio::awaitable<std::optional<Timestamp>> Reconciler::find_boot(HostId host) {
    const auto self = shared_from_this();
    const auto driver = registry_->find(host);
    if (!driver) co_return std::nullopt;
    const auto stats = co_await driver->statistics().sweep();
    const auto snapshot = store_->snapshot();
    const Host* row = snapshot->hosts.find(host);
    if (!stats || row == nullptr) co_return std::nullopt;
    co_return boot_time(*stats, row->facts.cpus, clock_->now());
}

/// Every domain of the host; VMs that it was thought to define and does not list are absent.
drivers::Task<> Reconciler::list(HostId host, bool is_new) {
    const auto self = shared_from_this();
    const auto driver = registry_->find(host);
    if (!driver) co_return fail(Code::unavailable, "host {} has no connection", host);
    if (is_new) {
        Work& work = work_[host];
        const std::uint64_t next = work.round + 1;
        work = Work{};
        work.round = next;
        work.listed = true;  // events from now on are news to this list
    }
    const std::uint64_t round = work_[host].round;
    const std::uint64_t ticket = applier_->ticket();
    const auto before = store_->snapshot();
    BALLAST_CO_TRY(auto views, co_await driver->compute().list_domains());
    if (current(host, round) == nullptr)
        co_return fail(Code::unavailable, "host {} was lost while it was listed", host);
    applier_->supersede(host, ticket);
    std::vector<Reading> readings;
    std::set<VmId> listed;
    const Timestamp now = clock_->now();
    for (auto& view : views) {
        const VmId vm = view.id;
        listed.insert(vm);
        HostSaid said{.host = host, .kind = HostSaid::Kind::defined, .view = std::move(view), .time = now};
        readings.push_back({vm, std::move(said), ticket, Applier::knows(*before, vm)});
    }
    store_->snapshot()->vms.for_each([&](const Vm& vm) {
        const bool here = std::ranges::find(vm.definitions, host, &Definition::host) != vm.definitions.end();
        if (here && !listed.contains(vm.id))
            readings.push_back(
                {vm.id, {.host = host, .kind = HostSaid::Kind::absent, .view = {}, .time = now}, ticket, true});
    });
    Cause cause{.origin = Origin::outside, .job = {}, .host_is_new = is_new};
    if (is_new && options_.start_vm) {
        cause.start = options_.start_vm;
        cause.booted = co_await find_boot(host);
    }
    BALLAST_CO_CHECK(co_await apply(std::move(readings), std::move(cause)));
    if (is_new && current(host, round) != nullptr) pauses_->spawn(sweep_for_ever(host, round), "sweep of a host");
    co_return Result<void>{};
}

asio::awaitable<void> Reconciler::write_lost(HostId host, HostSaid::Kind kind) {
    const auto self = shared_from_this();
    const std::uint64_t ticket = applier_->ticket();
    std::vector<Reading> readings;
    const HostSaid said{.host = host, .kind = kind, .view = {}, .time = clock_->now()};
    store_->snapshot()->vms.for_each([&](const Vm& vm) {
        const bool here = std::ranges::find(vm.definitions, host, &Definition::host) != vm.definitions.end();
        if (here || vm.host == host) readings.push_back({vm.id, said, ticket, true});
    });
    const auto done = co_await apply(std::move(readings), {.origin = Origin::ballast, .job = {}});
    if (!done) spdlog::warn("host={} its VMs could not be marked: {}", host, done.error().chain());
    if (kind != HostSaid::Kind::removed) co_return;
    const auto forgotten = co_await store_->write({}, [host](store::Transaction& transaction) -> Result<void> {
        forget_storage(transaction, host);
        return {};
    });
    if (!forgotten) spdlog::warn("host={} its pools could not be forgotten: {}", host, forgotten.error().chain());
}

asio::awaitable<void> Reconciler::read_into(HostId host, VmId vm, std::shared_ptr<std::vector<Reading>> readings,
                                            std::shared_ptr<Result<void>> outcome, std::shared_ptr<Countdown> left) {
    const auto self = shared_from_this();
    auto reading = co_await read(host, vm);
    if (reading)
        readings->push_back(*std::move(reading));
    else if (*outcome)
        *outcome = std::unexpected(std::move(reading).error());
    left->done();
}

/// Reads the VM on all these hosts at once; a host that can't be asked gives no reading. Errors: the first one met.
drivers::Task<> Reconciler::read_all(VmId vm, std::set<HostId> hosts, std::shared_ptr<std::vector<Reading>> readings) {
    const auto self = shared_from_this();
    const auto left = std::make_shared<Countdown>(pauses_->loop(), hosts.size());
    const auto outcome = std::make_shared<Result<void>>();
    for (const auto& host : hosts) pauses_->spawn(read_into(host, vm, readings, outcome, left), "reading of a domain");
    if (!hosts.empty()) co_await Countdown::wait(left);
    co_return *outcome;
}

/// A, B, A: if B runs and A still runs after that, then both do.
asio::awaitable<void> Reconciler::prove(VmId vm, std::set<HostId> hosts) {
    const auto self = shared_from_this();
    for (Milliseconds pause = options_.settle;; pause = std::min(pause * 2, Milliseconds{2'000})) {
        std::vector<HostId> order(hosts.begin(), hosts.end());
        order.insert(order.end(), hosts.begin(), hosts.end());
        order.pop_back();
        std::map<HostId, Reading> last;
        bool asked = true;
        bool all_active = true;
        for (const auto& host : order) {
            auto reading = co_await read(host, vm);
            asked = asked && reading;
            if (!reading) continue;
            all_active = all_active && reading->said.view && is_active(reading->said.view->state);
            last.insert_or_assign(host, *std::move(reading));
        }
        std::vector<Reading> readings;
        readings.reserve(last.size());
        for (auto& [host, reading] : last) readings.push_back(std::move(reading));
        Cause cause;
        cause.proven = asked && all_active && order.size() > 2;
        auto leftover = co_await applier_->apply(std::move(readings), cause);
        if (pauses_->ended() || !leftover || !leftover->doubtful.contains(vm)) break;
        co_await Pauses::wait(pauses_, pause);
    }
    proving_.erase(vm);
}

/// Gives the other hosts time to say where the VM went.
asio::awaitable<void> Reconciler::search(VmId vm) {
    const auto self = shared_from_this();
    for (Milliseconds waited{0}; waited < options_.search_limit; waited += options_.search) {
        co_await Pauses::wait(pauses_, options_.search);
        if (pauses_->ended()) co_return;
        if (!registry_->is_settling()) break;
    }
    searching_.erase(vm);
    std::set<HostId> hosts = hosts_of(*store_->snapshot(), vm);
    std::erase_if(hosts, [&](const HostId& host) { return !registry_->is_listed(host); });
    const auto readings = std::make_shared<std::vector<Reading>>();
    const auto asked = co_await read_all(vm, hosts, readings);
    Cause cause;
    cause.searched = true;
    const auto done = co_await apply(std::move(*readings), cause);
    if (!asked || !done) spdlog::warn("vm={} can't be searched for: {}", vm, (asked ? done : asked).error().chain());
}

asio::awaitable<void> Reconciler::list_again(HostId host) {
    const auto self = shared_from_this();
    const auto done = co_await list(host, false);
    if (!done) spdlog::warn("host={} can't be listed again: {}", host, done.error().chain());
}

// Observer.

drivers::Task<> Reconciler::observe(VmId vm, JobId job) {
    const auto self = shared_from_this();
    const auto snapshot = store_->snapshot();
    std::set<HostId> hosts = hosts_of(*snapshot, vm);
    if (hosts.empty())
        for (const auto& [host, work] : work_)
            if (work.listed) hosts.insert(host);
    std::erase_if(hosts, [&](const HostId& host) { return !registry_->is_listed(host); });
    Result<void> asked{};
    for (int attempt = 0; attempt < most_observations; ++attempt) {
        const auto readings = std::make_shared<std::vector<Reading>>();
        asked = co_await read_all(vm, hosts, readings);
        // A later reading that was taken up may not be written yet; whoever observes relies on what is written.
        const bool overtaken =
            std::ranges::any_of(*readings, [&](const Reading& reading) { return applier_->is_overtaken(reading); });
        Cause cause;
        cause.origin = job.empty() ? Origin::outside : Origin::ballast;
        cause.job = job;
        BALLAST_CO_CHECK(co_await apply(std::move(*readings), std::move(cause)));
        if (!overtaken) break;
    }
    co_return asked;
}

drivers::Task<> Reconciler::observe_host(HostId host) {
    const auto self = shared_from_this();
    BALLAST_CO_TRY(const auto driver, registry_->reachable(host));
    static_cast<void>(driver);
    BALLAST_CO_CHECK(co_await list(host, false));
    co_return co_await registry_->refresh(host);
}

drivers::Task<HostPair> Reconciler::check_pair(HostId from, HostId to) {
    const auto pairs = pairs_;
    co_return co_await pairs->check(from, to);
}

}  // namespace ballast::reconcile
