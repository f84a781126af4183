// What interferes with a migration: the calls that steer it, and everything that can break it on the way.
#include <algorithm>
#include <cmath>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

MigrationStatus status_of(Stage stage) {
    switch (stage) {
        case Stage::setup:
            return MigrationStatus::setup;
        case Stage::mirror:
        case Stage::push:
        case Stage::stop:
            return MigrationStatus::active;
        case Stage::pull:
            return MigrationStatus::post_copy;
        case Stage::paused:
            return MigrationStatus::post_copy_paused;
    }
    return MigrationStatus::none;
}

Bytes bytes(double count) {
    return Bytes(static_cast<std::int64_t>(count));
}

/// Zero pages are met along with the others of the first round; what else was sent was sent in full.
void count_pages(const SimMigration& migration, const GuestLoad& load, MigrationProgress& progress) {
    const auto page = static_cast<double>(progress.page_size.count());
    const double touched = std::min(
        migration.total,
        static_cast<double>(load.touched.value_or(Bytes(static_cast<std::int64_t>(migration.total / 2))).count()));
    const double memory_sent = migration.sent - (migration.disk_total - migration.disk_left);
    const double share = migration.round > 1 || touched <= 0 ? 1 : std::min(1.0, memory_sent / touched);
    progress.constant_pages = static_cast<std::int64_t>((migration.total - touched) * share / page);
    progress.normal_pages = static_cast<std::int64_t>(memory_sent / page);
}

}  // namespace

MigrationProgress State::report(const SimMigration& migration) {
    MigrationProgress progress;
    progress.status = status_of(migration.stage);
    progress.elapsed = std::chrono::round<Milliseconds>(time.now() - migration.begun);
    progress.downtime = migration.downtime;
    progress.sent = bytes(migration.sent);
    progress.remaining = bytes(migration.remaining + migration.disk_left);
    progress.total = bytes(migration.total + migration.disk_total);
    progress.throughput = BytesPerSecond(static_cast<std::int64_t>(migration.rate));
    progress.iteration = migration.round;
    progress.post_copy_requests = migration.requests;
    if (migration.round > 0) progress.setup = Milliseconds(0);  // of QEMU itself; the target's start is before it
    progress.throttle = static_cast<int>(std::lround(migration.throttle * 100));
    progress.disk_remaining = bytes(migration.disk_left);
    progress.disk_total = bytes(migration.disk_total);
    count_pages(migration, load_of(migration.vm), progress);
    if (migration.request.knobs.xbzrle)
        progress.compression =
            MigrationCompression{.pages = static_cast<std::int64_t>(migration.compressed) / progress.page_size.count(),
                                 .sent = bytes(migration.differences)};
    if (migration.round > 1)
        progress.dirty_pages_per_second =
            static_cast<std::int64_t>(dirtying(migration).rate) / progress.page_size.count();
    return progress;
}

Result<SimMigration*> State::outgoing(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* source, domain(host, vm));
    const auto found = migrations.find(vm);
    if (found == migrations.end() || found->second.from != host)
        return fail(Code::failed_precondition, "no migration of domain '{}' is active on host '{}'", source->name,
                    host);
    return &found->second;
}

Result<MigrationProgress> State::progress(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* source, domain(host, vm));
    const auto found = migrations.find(vm);
    if (found == migrations.end() || found->second.from != host) return source->completed.value_or(MigrationProgress{});
    settle(found->second);
    return report(found->second);
}

Result<MigrationProgress> State::completed(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* found, domain(host, vm));
    return found->completed.value_or(MigrationProgress{});
}

Result<void> State::abort(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimMigration* migration, outgoing(host, vm));
    if (migration->stage == Stage::pull || migration->stage == Stage::paused)
        return fail(Code::failed_precondition, "post-copy of domain {} has begun: it can't be cancelled", vm);
    fail_push(vm, Error(Code::cancelled, fmt::format("migration of domain {} was cancelled", vm)));
    return {};
}

Result<void> State::start_post_copy(const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimMigration * migration, outgoing(host, vm));
    const auto mode = migration->request.mode;
    if (mode != MigrationMode::post_copy && mode != MigrationMode::hybrid)
        return fail(Code::failed_precondition, "migration of domain {} was not started for post-copy", vm);
    settle(*migration);
    if (migration->stage == Stage::stop) return {};
    if (migration->stage != Stage::push || migration->sent < migration->disk_total + 1)
        return fail(Code::failed_precondition, "post-copy of domain {} can't begin now: nothing has been sent yet", vm);
    switch_over(*migration);
    return {};
}

Result<void> State::pause_post_copy(const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimMigration * migration, outgoing(host, vm));
    if (migration->stage != Stage::pull) return fail(Code::failed_precondition, "domain {} is not in post-copy", vm);
    break_pull(*migration, "paused on request");
    return {};
}

Result<void> State::set_downtime_limit(const std::string& host, const VmId& vm, Milliseconds limit) {
    BALLAST_TRY(SimMigration * migration, outgoing(host, vm));
    if (limit <= Milliseconds(0)) return fail(Code::invalid_argument, "a downtime limit is at least 1 ms");
    settle(*migration);
    migration->request.downtime_limit = limit;
    if (migration->stage != Stage::push || migration->round < 2) return {};
    const double threshold = stop_threshold(migration->rate, std::chrono::duration<double>(limit).count());
    migration->goal_left = std::max(0.0, migration->remaining - threshold);
    schedule(*migration);
    return {};
}

Result<void> State::set_bandwidth(const std::string& host, const VmId& vm, BytesPerSecond bandwidth, bool post_copy) {
    BALLAST_TRY(SimMigration * migration, outgoing(host, vm));
    settle(*migration);
    auto& cap = post_copy ? migration->request.post_copy_bandwidth : migration->request.bandwidth;
    cap = bandwidth;
    if (migration->stage != Stage::setup && migration->stage != Stage::paused) schedule(*migration);
    return {};
}

Result<void> State::resume_migration(const std::string& host, const MigrationRequest& request,
                                     const std::function<void(Result<void>)>& done) {
    BALLAST_TRY(SimMigration * migration, outgoing(host, request.vm));
    if (migration->stage != Stage::paused)
        return fail(Code::failed_precondition, "post-copy of domain {} is not paused", request.vm);
    if (line_rate(*migration) <= 0)
        return fail(Code::unavailable, "host '{}' can't reach '{}'", host, request.peer_uri);
    before_change(hosts.at(migration->from));
    before_change(hosts.at(migration->to));
    migration->stage = Stage::pull;
    migration->settled = time.now();
    migration->waiters.push_back(done);
    SimDomain& source = hosts.at(migration->from).domains.at(request.vm);
    SimDomain& target = hosts.at(migration->to).domains.at(request.vm);
    source.state = DomainState::postcopy_source;
    source.reason = "post-copy";
    target.state = DomainState::postcopy_target;
    target.reason = "post-copy";
    hosts.at(migration->from).outgoing.insert(request.vm);
    hosts.at(migration->to).incoming.insert(request.vm);
    emit_domain(migration->from, request.vm, DriverEvent::Kind::domain_changed, "suspended: post-copy");
    emit_domain(migration->to, request.vm, DriverEvent::Kind::domain_changed, "resumed: post-copy");
    share_links(migration->from, migration->to);
    return {};
}

void State::answer(SimMigration& migration, const Result<void>& result) {
    const auto waiters = std::exchange(migration.waiters, {});
    for (const auto& done : waiters) done(result);
}

void State::fail_push(const VmId& vm, const Error& error) {
    SimMigration& migration = migrations.at(vm);
    if (migration.timer) time.cancel(*migration.timer);
    if (migration.break_timer) time.cancel(*migration.break_timer);
    settle(migration);
    const std::string from = migration.from;
    const std::string to = migration.to;
    const auto waiters = std::move(migration.waiters);
    hosts.at(from).outgoing.erase(vm);
    hosts.at(to).incoming.erase(vm);
    migrations.erase(vm);
    if (const auto source = domain(from, vm); source && is_active((*source)->state)) {
        if ((*source)->state == DomainState::paused && (*source)->reason == "migration") {
            before_change(hosts.at(from));
            (*source)->state = DomainState::running;
            (*source)->reason = "migration canceled";
            emit_domain(from, vm, DriverEvent::Kind::domain_changed, "resumed: unpaused");
        }
    }
    emit_domain(from, vm, DriverEvent::Kind::job_completed, error.message());
    end_qemu(to, vm, "failed", DomainState::shut_off);
    for (const auto& done : waiters) done(std::unexpected(error));
    share_links(from, to);
}

void State::break_pull(SimMigration& migration, const std::string& reason) {
    settle(migration);
    if (migration.timer) time.cancel(*migration.timer);
    if (migration.break_timer) time.cancel(*migration.break_timer);
    migration.timer.reset();
    migration.break_timer.reset();
    migration.stage = Stage::paused;
    migration.rate = 0;
    hosts.at(migration.from).outgoing.erase(migration.vm);
    hosts.at(migration.to).incoming.erase(migration.vm);
    for (const auto& side : {migration.from, migration.to}) {
        before_change(hosts.at(side));
        const auto copy = domain(side, migration.vm);
        if (!copy || !is_active((*copy)->state)) continue;
        (*copy)->state = DomainState::postcopy_failed;
        (*copy)->reason = "post-copy failed";
        emit_domain(side, migration.vm, DriverEvent::Kind::domain_changed, "suspended: post-copy failed");
    }
    answer(migration, fail(Code::failed_precondition, "post-copy of domain {} is paused: {}", migration.vm, reason));
    share_links(migration.from, migration.to);
}

void State::link_changed(const std::string& a, const std::string& b) {
    const Cut cut = link_between(a, b).cut;
    for (auto& [vm, migration] : migrations) {
        if (std::minmax(migration.from, migration.to) != std::minmax(a, b)) continue;
        if (migration.break_timer) time.cancel(*migration.break_timer);
        migration.break_timer.reset();
        if (migration.stage == Stage::paused) continue;
        if (migration.stage != Stage::setup) {
            settle(migration);
            schedule(migration);
        }
        if (cut == Cut::none) continue;
        const Milliseconds patience = migration.stage != Stage::pull ? timing.peer_keepalive
                                      : cut == Cut::hard             ? timing.broken_stream
                                                                     : timing.silent_stream;
        migration.break_timer = time.after(patience, [this, id = vm] {
            const auto found = migrations.find(id);
            if (found == migrations.end()) return;
            found->second.break_timer.reset();
            if (found->second.stage == Stage::pull) return break_pull(found->second, "the stream broke");
            fail_push(id, Error(Code::unavailable, fmt::format("migration of domain {}: the peer is gone", id)));
        });
    }
}

void State::qemu_gone(const std::string& host, const VmId& vm) {
    const auto found = migrations.find(vm);
    if (found == migrations.end()) return;
    SimMigration& migration = found->second;
    if (host != migration.from && host != migration.to) return;
    const Error error(Code::failed_precondition,
                      fmt::format("migration of domain {}: QEMU on host '{}' is gone", vm, host));
    if (migration.stage != Stage::pull && migration.stage != Stage::paused) {
        fail_push(vm, error);
        return;
    }
    break_pull(migration, fmt::format("QEMU on host '{}' is gone", host));
    migrations.erase(vm);
}

Result<std::vector<PairCheck>> State::probe_peer(const std::string& host, const std::string& peer_uri) {
    BALLAST_TRY(const std::string peer, parse_uri(peer_uri));
    const SimHost* to = find_host(peer);
    std::vector<PairCheck> checks;
    const bool reached = to != nullptr && !to->crashed && link_between(host, peer).cut == Cut::none;
    checks.push_back({"peer_trust", reached ? CheckVerdict::ok : CheckVerdict::refused,
                      fmt::format("{} '{}'", reached ? "reached" : "can't reach", peer_uri),
                      reached ? "" : "mend the link or the name, then check again"});
    if (!reached) return checks;
    const SimHost& from = hosts.at(host);
    const bool older = to->model.facts.qemu_version < from.model.facts.qemu_version;
    checks.push_back({"qemu_versions", older ? CheckVerdict::refused : CheckVerdict::ok,
                      fmt::format("{} -> {}", from.model.facts.qemu_version, to->model.facts.qemu_version),
                      older ? "update QEMU on the target first" : ""});
    const bool faults = to->model.facts.userfaultfd_likely;
    checks.push_back({"userfaultfd", faults ? CheckVerdict::ok : CheckVerdict::warning,
                      faults ? "post-copy is possible" : "QEMU may not use userfaultfd",
                      faults ? "" : "set vm.unprivileged_userfaultfd=1 on the target"});
    return checks;
}

}  // namespace ballast::drivers::simulated
