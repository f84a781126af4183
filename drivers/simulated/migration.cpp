// A migration that goes well: checks, stream, rounds, stop or switch, hand-over. Bytes flow as a fluid: `settle` counts
// what flowed at the rate so far, `schedule` sets the timer for the end of the phase at the rate from now on.
#include <algorithm>
#include <cmath>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

constexpr double page = 4096;
/// Page headers on the wire (docs/MIGRATION.md: 258 MiB sent of 256).
constexpr double wire_overhead = 1.008;
/// Share of the working set's pages that the guest asks for before pre-paging brings them (Hines and Gopalan, VEE
/// 2009).
constexpr double fault_share = 0.2;
/// QEMU's defaults of auto-converge, in per cent.
constexpr int first_throttle = 20;
constexpr int throttle_step = 10;
constexpr double last_throttle = 0.99;
constexpr Bytes default_xbzrle_cache = mebibytes(64);

double seconds(Micros duration) {
    return std::chrono::duration<double>(duration).count();
}
Micros micros(double secs) {
    return Micros(static_cast<std::int64_t>(std::ceil(secs * 1e6)));
}
double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}
Milliseconds to_ms(Micros duration) {
    return std::chrono::round<Milliseconds>(duration);
}
bool may_switch(MigrationMode mode) {
    return mode == MigrationMode::post_copy || mode == MigrationMode::hybrid;
}
/// What flows on the wire until the phase is over.
double bytes_left(const SimMigration& migration) {
    if (migration.stage == Stage::mirror) return std::max(0.0, migration.disk_left);
    return std::max(0.0, migration.stage == Stage::push ? migration.goal_left : migration.remaining) * migration.wire;
}
bool streams(Stage stage) {
    return stage == Stage::mirror || stage == Stage::push || stage == Stage::stop || stage == Stage::pull;
}

}  // namespace

// --- bandwidth ---

double State::line_rate(const SimMigration& migration) {
    const SimLink& link = link_between(migration.from, migration.to);
    if (link.cut != Cut::none) return 0;
    const SimHost& from = hosts.at(migration.from);
    const SimHost& to = hosts.at(migration.to);
    const auto share = [](BytesPerSecond card, std::size_t flows) {
        return static_cast<double>(card.count()) / static_cast<double>(std::max<std::size_t>(flows, 1));
    };
    double rate = std::min(share(from.model.link, from.outgoing.size()), share(to.model.link, to.incoming.size()));
    if (from.model.stream)
        rate = std::min(
            rate, static_cast<double>(from.model.stream->count()) * std::max(1, migration.request.knobs.parallel));
    if (link.bandwidth) {
        const auto beside = std::ranges::count_if(from.outgoing, [&](const VmId& vm) {
            return migrations.contains(vm) && migrations.at(vm).to == migration.to;
        });
        rate = std::min(rate, share(*link.bandwidth, static_cast<std::size_t>(beside)));
    }
    return rate;
}

double State::rate_of(const SimMigration& migration) {
    const double line = line_rate(migration);
    const HostModel& from = hosts.at(migration.from).model;
    const double stopped = migration.request.mode == MigrationMode::stop_and_copy ? from.stopped_share : 1;
    const auto capped = [](double speed, const std::optional<BytesPerSecond>& cap) {
        return cap && cap->count() > 0 ? std::min(speed, static_cast<double>(cap->count())) : speed;
    };
    switch (migration.stage) {
        case Stage::setup:
        case Stage::paused:
            return 0;
        case Stage::mirror:
            return capped(line, migration.request.bandwidth);
        case Stage::push:
            return capped(line * stopped, migration.request.bandwidth);
        case Stage::stop:  // QEMU lifts its limit for the last part
            return line * stopped;
        case Stage::pull:
            return capped(line * from.pull_share, migration.request.post_copy_bandwidth);
    }
    return 0;
}

/// xbzrle sends only what changed of a page that its cache holds: the second round fills it, so it is the third that is
/// shorter. The pull phase goes without.
double State::wire_of(const SimMigration& migration) const {
    const auto& knobs = migration.request.knobs;
    const bool resends = migration.stage == Stage::stop || (migration.stage == Stage::push && migration.round > 2);
    if (!knobs.xbzrle || !resends) return 1;
    const GuestLoad& load = load_of(migration.vm);
    const double cache = as_double(knobs.xbzrle_cache.value_or(default_xbzrle_cache));
    const double hit = std::min(1.0, cache / std::max(page, as_double(load.working_set)));
    return 1 - hit * (1 - std::clamp(load.delta, 0.0, 1.0));
}

Dirtying State::dirtying(const SimMigration& migration) const {
    const auto source = hosts.at(migration.from).domains.find(migration.vm);
    const bool runs = source != hosts.at(migration.from).domains.end() && source->second.state == DomainState::running;
    if (!runs) return {};
    Dirtying dirtying = dirtying_of(load_of(migration.vm));
    dirtying.rate *= 1 - migration.throttle;
    dirtying.slow_rate *= 1 - migration.throttle;
    return dirtying;
}

void State::settle(SimMigration& migration) {
    const Instant now = time.now();
    if (now <= migration.settled) return;
    const double flowed = migration.rate * seconds(now - migration.settled);
    migration.settled = now;
    if (migration.stage == Stage::mirror) {
        const double copied = std::min(flowed, migration.disk_left);
        migration.sent += copied;
        migration.disk_left -= copied;
        return;
    }
    const double moved = std::min(flowed / migration.wire, migration.remaining);
    migration.sent += moved * migration.wire;
    if (migration.wire < 1) {
        migration.compressed += moved;
        migration.differences += moved * migration.wire;
    }
    migration.remaining -= moved;
    migration.goal_left -= moved;
    if (migration.stage != Stage::pull) return;
    migration.pulled += moved;
    const double hot = as_double(load_of(migration.vm).working_set);
    migration.requests = static_cast<std::int64_t>(fault_share * std::min(hot, migration.pulled) / page);
}

void State::schedule(SimMigration& migration) {
    if (migration.timer) time.cancel(*migration.timer);
    migration.timer.reset();
    migration.rate = rate_of(migration);
    if (migration.rate <= 0) return;
    migration.wire = wire_of(migration);
    const double left = bytes_left(migration);
    const Instant from = std::max(time.now(), migration.settled);
    migration.timer = time.at(from + micros(left / migration.rate), [this, vm = migration.vm] { phase_over(vm); });
}

void State::share_links(const std::string& a, const std::string& b) {
    std::set<VmId> touched;
    for (const auto& name : {a, b}) {
        const SimHost& host = hosts.at(name);
        touched.insert(host.outgoing.begin(), host.outgoing.end());
        touched.insert(host.incoming.begin(), host.incoming.end());
    }
    for (const VmId& vm : touched) {
        const auto found = migrations.find(vm);
        if (found == migrations.end() || !streams(found->second.stage)) continue;
        settle(found->second);
        schedule(found->second);
    }
}

// --- the checks before the start ---

Result<void> State::check_disks(const SimHost& from, const SimHost& to, const SimDomain& domain,
                                const MigrationRequest& request) {
    for (const auto& disk : domain.live.value_or(domain.config).disks) {
        if (disk.path.empty() || disk.path.starts_with("/dev/")) continue;
        // libvirt makes the file of a full copy itself; of an incremental one the parent must be there.
        if (!disk.read_only && request.knobs.copy_disks == DiskCopy::full) continue;
        const bool copied = !disk.read_only && request.knobs.copy_disks == DiskCopy::incremental;
        if (!disk.read_only && !copied && !request.allow_unsafe)
            return fail(Code::failed_precondition,
                        "unsafe migration: '{}' of '{}' is on storage that is not known as shared", disk.path,
                        domain.name);
        std::string name;
        std::string key;
        if (const SimStore* store = store_of(to, disk.path, &name, &key);
            store != nullptr && !store->volumes.contains(name))
            return fail(Code::not_found, "host '{}' has no file '{}' of '{}' (host '{}' has)", to.model.name, disk.path,
                        domain.name, from.model.name);
    }
    return {};
}

Result<void> State::check_migration(const SimHost& host, const MigrationRequest& request, std::string* target) {
    BALLAST_TRY(const SimDomain* source, domain(host.model.name, request.vm));
    BALLAST_TRY(*target, parse_uri(request.peer_uri));
    if (source->state != DomainState::running && source->state != DomainState::paused)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is not running", source->name,
                    host.model.name);
    BALLAST_CHECK(check_no_job(*this, *source));
    if (*target == host.model.name)
        return fail(Code::failed_precondition, "domain '{}' is on host '{}' already", source->name, *target);
    const SimHost* to = find_host(*target);
    if (to == nullptr || to->crashed || link_between(host.model.name, *target).cut != Cut::none)
        return fail(Code::unavailable, "host '{}' can't reach '{}'", host.model.name, request.peer_uri);
    if (const auto there = to->domains.find(request.vm); there != to->domains.end() && is_active(there->second.state))
        return fail(Code::failed_precondition, "domain '{}' is active on host '{}'", source->name, *target);
    if (const auto named = to->names.find(source->name); named != to->names.end() && named->second != request.vm)
        return fail(Code::already_exists, "domain '{}' already exists on host '{}' with UUID {}", source->name, *target,
                    named->second);
    if (may_switch(request.mode) && !to->model.facts.userfaultfd_likely)
        return fail(Code::failed_precondition, "host '{}' does not let QEMU use userfaultfd: no post-copy there",
                    *target);
    const auto& machines = to->model.facts.machine_types;
    if (!source->config.machine.empty() && std::ranges::find(machines, source->config.machine) == machines.end())
        return fail(Code::failed_precondition, "host '{}' has no machine type '{}'", *target, source->config.machine);
    return check_disks(host, *to, *source, request);
}

// --- the way of a migration ---

void State::migrate(const std::string& host, const MigrationRequest& request, std::function<void(Result<void>)> done) {
    if (request.resume_post_copy) {
        if (const auto resumed = resume_migration(host, request, done); !resumed) done(resumed);
        return;
    }
    std::string target;
    if (const auto checked = check_migration(hosts.at(host), request, &target); !checked) {
        done(checked);
        return;
    }
    settle_memory(hosts.at(host));
    SimDomain arriving = hosts.at(host).domains.at(request.vm);
    SimHost& to = hosts.at(target);
    before_change(to);
    arriving.equal = {};
    arriving.persistent = to.domains.contains(request.vm);
    arriving.autostart = false;
    arriving.state = DomainState::incoming;
    arriving.reason = "migration";
    arriving.completed.reset();
    arriving.cpu_seconds = 0;
    to.domains[request.vm] = arriving;
    to.names[arriving.name] = request.vm;
    expect_model(to, request.vm);
    emit_domain(target, request.vm, DriverEvent::Kind::domain_changed, "started: migrated");

    SimMigration& migration = migrations[request.vm];
    migration.vm = request.vm;
    migration.from = host;
    migration.to = target;
    migration.request = request;
    migration.begun = time.now();
    migration.settled = time.now();
    migration.total = as_double(arriving.config.memory);
    migration.waiters.push_back(std::move(done));
    migration.disk_total = migration.disk_left = disk_bytes(migration);
    migration.timer = time.after(timing.migration_setup, [this, vm = request.vm] { begin_mirror(vm); });
}

double State::disk_bytes(const SimMigration& migration) {
    if (migration.request.knobs.copy_disks == DiskCopy::none) return 0;
    const SimHost& from = hosts.at(migration.from);
    const SimDomain& source = from.domains.at(migration.vm);
    Bytes all;
    for (const auto& disk : source.live.value_or(source.config).disks) {
        std::string name;
        std::string key;
        const SimStore* store = disk.read_only ? nullptr : store_of(from, disk.path, &name, &key);
        if (store == nullptr || !store->volumes.contains(name)) continue;
        const SimVolume& volume = store->volumes.at(name);
        all += migration.request.knobs.copy_disks == DiskCopy::full ? volume.capacity : volume.allocation;
    }
    return as_double(all);
}

/// Disks go first, by NBD; the memory follows when they are level.
void State::begin_mirror(const VmId& vm) {
    SimMigration& migration = migrations.at(vm);
    migration.timer.reset();
    if (migration.disk_left <= 0) return begin_stream(vm);
    make_copies(migration);
    migration.stage = Stage::mirror;
    migration.settled = time.now();
    hosts.at(migration.from).outgoing.insert(vm);
    hosts.at(migration.to).incoming.insert(vm);
    share_links(migration.from, migration.to);
}

/// libvirt makes the file of a full copy first, empty.
void State::make_copies(const SimMigration& migration) {
    if (migration.request.knobs.copy_disks != DiskCopy::full) return;
    for (const auto& disk : hosts.at(migration.from).domains.at(migration.vm).config.disks) {
        std::string name;
        std::string key;
        const SimStore* source = disk.read_only ? nullptr : store_of(hosts.at(migration.from), disk.path, &name, &key);
        SimStore* target = store_of(hosts.at(migration.to), disk.path, &name, &key);
        if (source == nullptr || target == nullptr || source == target || !source->volumes.contains(name)) continue;
        SimVolume made = source->volumes.at(name);
        made.allocation = Bytes(0);
        target->volumes.try_emplace(name, made);
        for (auto& [pool_name, pool] : hosts.at(migration.to).pools)
            if (pool.model.store == key) pool.known.insert(name);
    }
}

/// As seen at the end: what its disks have there must fit beside what others have put there meanwhile.
bool State::has_room_for_copies(const SimMigration& migration) {
    std::map<const SimStore*, Bytes> needed;
    for (const auto& disk : hosts.at(migration.from).domains.at(migration.vm).config.disks) {
        std::string name;
        std::string key;
        const SimStore* source = disk.read_only ? nullptr : store_of(hosts.at(migration.from), disk.path, &name, &key);
        const SimStore* target = store_of(hosts.at(migration.to), disk.path, &name, &key);
        if (source == nullptr || target == nullptr || source == target || !source->volumes.contains(name)) continue;
        needed[target] += source->volumes.at(name).allocation;
    }
    return std::ranges::all_of(needed, [](const auto& one) { return one.second <= one.first->available(); });
}

/// The target has the bytes: its file is there, and what its QEMU opens there is the guest's disk.
void State::copy_volumes(const SimMigration& migration) {
    if (migration.request.knobs.copy_disks == DiskCopy::none) return;
    const SimHost& from = hosts.at(migration.from);
    SimHost& to = hosts.at(migration.to);
    for (auto& [path, held] : to.domains.at(migration.vm).disk_stores) {
        std::string name;
        std::string key;
        const SimStore* source = store_of(from, path, &name, &key);
        SimStore* target = store_of(to, path, &name, &held);
        if (source == nullptr || target == nullptr || source == target || !source->volumes.contains(name)) continue;
        target->volumes[name] = source->volumes.at(name);
        for (auto& [pool_name, pool] : to.pools)
            if (pool.model.store == held) pool.known.insert(name);
    }
}

void State::begin_stream(const VmId& vm) {
    SimMigration& migration = migrations.at(vm);
    migration.timer.reset();
    migration.stage = Stage::push;
    hosts.at(migration.from).outgoing.insert(vm);
    hosts.at(migration.to).incoming.insert(vm);
    const GuestLoad& load = load_of(vm);
    const Bytes memory(static_cast<std::int64_t>(migration.total));
    const Bytes touched =
        std::min(memory, std::max(load.touched.value_or(memory / 2), load.working_set + load.slow_set));
    migration.settled = time.now();
    if (migration.request.mode == MigrationMode::stop_and_copy) stop_source(migration);
    migration.rate = rate_of(migration);
    begin_round(migration, as_double(touched) * wire_overhead);
    share_links(migration.from, migration.to);
}

void State::begin_round(SimMigration& migration, double dirty) {
    migration.round += 1;
    if (migration.request.knobs.auto_converge) throttle(migration, dirty);
    migration.previous_dirty = dirty;
    migration.remaining = dirty;
    migration.round_begun = time.now();
    const double limit = seconds(migration.request.downtime_limit);
    migration.goal_left = round_goal(migration.round, dirty, stop_threshold(migration.rate, limit), migration.rate);
    DriverEvent event;
    event.kind = DriverEvent::Kind::migration_round;
    event.vm = migration.vm;
    event.number = migration.round;
    emit(hosts.at(migration.from), std::move(event));
    schedule(migration);
}

void State::throttle(SimMigration& migration, double dirty) {
    if (migration.round <= 2 || dirty < migration.previous_dirty / 2) return;
    const auto share = [](int chosen, int otherwise) { return (chosen > 0 ? chosen : otherwise) / 100.0; };
    const auto& knobs = migration.request.knobs;
    const double next = migration.throttle <= 0 ? share(knobs.throttle_initial, first_throttle)
                                                : migration.throttle + share(knobs.throttle_increment, throttle_step);
    migration.throttle = std::min(last_throttle, next);
}

void State::phase_over(const VmId& vm) {
    const auto found = migrations.find(vm);
    if (found == migrations.end()) return;
    SimMigration& migration = found->second;
    migration.timer.reset();
    settle(migration);
    switch (migration.stage) {
        case Stage::mirror:
            if (has_room_for_copies(migration)) return begin_stream(vm);
            return fail_push(
                vm, Error(Code::resource_exhausted,
                          fmt::format("migration of domain {}: no space left on host '{}'", vm, migration.to)));
        case Stage::push:
            round_over(migration);
            return;
        case Stage::stop:
        case Stage::pull:
            finish(vm);
            return;
        case Stage::setup:
        case Stage::paused:
            return;
    }
}

void State::round_over(SimMigration& migration) {
    const double took = seconds(time.now() - migration.round_begun);
    const double dirty = migration.remaining + newly_dirty(dirtying(migration), took, migration.remaining);
    const double limit = seconds(migration.request.downtime_limit);
    if (dirty > stop_threshold(migration.rate, limit)) {
        begin_round(migration, dirty);
        return;
    }
    migration.remaining = dirty;
    if (migration.request.mode != MigrationMode::stop_and_copy) stop_source(migration);
    migration.stage = Stage::stop;
    migration.settled = time.now() + timing.device_state;
    schedule(migration);
}

void State::stop_source(SimMigration& migration) {
    migration.stopped = time.now();
    SimDomain& source = hosts.at(migration.from).domains.at(migration.vm);
    if (source.state != DomainState::running) return;
    before_change(hosts.at(migration.from));
    source.state = DomainState::paused;
    source.reason = "migration";
    emit_domain(migration.from, migration.vm, DriverEvent::Kind::domain_changed, "suspended: migrated");
}

void State::switch_over(SimMigration& migration) {
    const double took = seconds(time.now() - migration.round_begun);
    const double unsent = migration.round == 1 ? 0 : migration.remaining;
    migration.remaining += newly_dirty(dirtying(migration), took, unsent);
    stop_source(migration);
    const double bitmap = migration.total / (page * 8);
    const Micros gap = timing.device_state + micros(bitmap / std::max(1.0, line_rate(migration)));
    migration.downtime = to_ms(gap);
    migration.stage = Stage::pull;
    migration.settled = time.now() + gap;
    SimDomain& source = hosts.at(migration.from).domains.at(migration.vm);
    source.state = DomainState::postcopy_source;
    source.reason = "post-copy";
    emit_domain(migration.from, migration.vm, DriverEvent::Kind::domain_changed, "suspended: post-copy");
    carry_memory(migration);
    SimDomain& target = hosts.at(migration.to).domains.at(migration.vm);
    target.state = DomainState::postcopy_target;
    target.reason = "post-copy";
    emit_domain(migration.to, migration.vm, DriverEvent::Kind::domain_changed, "resumed: post-copy");
    note_damage(migration);
    schedule(migration);
}

void State::note_damage(const SimMigration& migration) {
    const SimHost& to = hosts.at(migration.to);
    SimDomain& target = hosts.at(migration.to).domains.at(migration.vm);
    for (auto& [path, store] : target.disk_stores) {
        std::string name;
        std::string key;
        if (store_of(to, path, &name, &key) == nullptr || key == store) continue;
        damage.push_back(
            fmt::format("'{}' went on with another disk under '{}' on host '{}'", target.name, path, migration.to));
        store = key;
    }
}

void State::finish(const VmId& vm) {
    SimMigration& migration = migrations.at(vm);
    const bool pulled = migration.stage == Stage::pull;
    migration.sent += migration.remaining;
    migration.remaining = 0;
    if (!pulled) migration.downtime = to_ms(time.now() - migration.stopped);
    pulled ? before_change(hosts.at(migration.to)) : carry_memory(migration);
    SimDomain& target = hosts.at(migration.to).domains.at(vm);
    const bool by_user = migration.request.keep_paused || hosts.at(migration.from).domains.at(vm).reason == "user";
    target.persistent = true;
    copy_volumes(migration);
    if (!pulled) note_damage(migration);
    if (target.state != DomainState::paused) target.state = by_user ? DomainState::paused : DomainState::running;
    target.reason = by_user ? "user" : "migrated";
    MigrationProgress last = report(migration);
    last.status = MigrationStatus::completed;
    target.completed = last;
    const auto waiters = std::move(migration.waiters);
    const std::string from = migration.from;
    const std::string to = migration.to;
    if (migration.break_timer) time.cancel(*migration.break_timer);
    hosts.at(from).outgoing.erase(vm);
    hosts.at(to).incoming.erase(vm);
    migrations.erase(vm);
    emit_domain(to, vm, DriverEvent::Kind::domain_changed, "defined: added");
    emit_domain(to, vm, DriverEvent::Kind::domain_changed, "resumed: migrated");
    forget_domain(from, vm);
    // As libvirt 9.0: of the undefining at the source there is no event.
    emit_domain(from, vm, DriverEvent::Kind::domain_changed, "stopped: migrated");
    emit_domain(from, vm, DriverEvent::Kind::job_completed, "job completed");
    for (const auto& done : waiters) done({});
    share_links(from, to);
}

}  // namespace ballast::drivers::simulated
