// What the machine asks for, done on the hosts. An act that fails is no end: the machine asks both hosts again and
// judges anew.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/json_impl.h"
#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/submit.h"
#include "migration/preflight.h"

namespace ballast::jobs {

using migration::MigrationAct;
using migration::MigrationEventKind;

namespace {

/// What QEMU takes for "as fast as it goes", in the whole MiB/s that libvirt speaks.
constexpr BytesPerSecond no_bandwidth_limit{8'796'093'022'207LL / 1'048'576 * 1'048'576};
/// The least that libvirt can say.
constexpr BytesPerSecond least_bandwidth{1'048'576};

/// The line as configured for the slower host. 0: it is not.
BytesPerSecond configured_line(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    BytesPerSecond line;
    for (const HostId& id : {from, to}) {
        const Host* host = snapshot.hosts.find(id);
        const auto speed = host == nullptr ? std::nullopt : host->settings.link_speed;
        if (speed && (line.count() <= 0 || *speed < line)) line = *speed;
    }
    return line;
}

}  // namespace

Task<> Move::perform(MigrationAct act) {
    switch (act) {
        case MigrationAct::check_pair:
            co_return co_await check_pair();
        case MigrationAct::call_migrate:
            co_return co_await call_migrate(false);
        case MigrationAct::recover_post_copy:
            co_return co_await call_migrate(true);
        case MigrationAct::watch_job:
            if (!watching_) boost::asio::co_spawn(run_->services().executor, watch(), boost::asio::detached);
            watching_ = true;
            co_return Result<void>{};
        case MigrationAct::start_post_copy:
            co_return co_await start_post_copy();
        case MigrationAct::pause_post_copy:
            co_return co_await source_->migration().pause_post_copy(vm_);
        case MigrationAct::set_downtime:
            co_return co_await set_downtime();
        case MigrationAct::set_bandwidth:
            co_return co_await set_push_bandwidth(row()->terms.bandwidth.value_or(no_bandwidth_limit));
        case MigrationAct::set_post_copy_bandwidth:
            co_return co_await source_->migration().set_bandwidth(
                vm_, row()->terms.post_copy_bandwidth.value_or(no_bandwidth_limit), true);
        case MigrationAct::abort_job:
            co_return co_await source_->migration().abort(vm_);
        case MigrationAct::ask_both_sides:
            co_return co_await ask_both_sides();
        case MigrationAct::adopt_target:
            co_return co_await stamp(true);
        case MigrationAct::resume_source:
            co_return co_await source_->migration().resume(vm_);
        case MigrationAct::end_target_copy:
            co_return co_await end_and_undefine(target_, vm_);
        case MigrationAct::end_source_copy:
            co_return co_await source_->compute().destroy(vm_);
        case MigrationAct::undefine_source:
            co_return co_await source_->compute().undefine(vm_);
        case MigrationAct::restart_from_disk:
            co_return co_await restart_until_done(true);
        case MigrationAct::alert_operator:
            co_return co_await alert_operator();
        case MigrationAct::record_result:
            co_return co_await record_result();
        case MigrationAct::release_claim:  // itself with the job's end, in one transaction
            co_return co_await withdraw_undecided();
    }
    std::unreachable();
}

namespace {

/// What stays open for longer is an operator's business.
constexpr Milliseconds undecided_patience{60'000};

std::string undecided_alert(const JobId& job) {
    return fmt::format("migration {}: still undecided:", job);
}

bool has_alert(const Vm& vm, std::string_view kind) {
    return std::ranges::any_of(vm.alerts, [&](const std::string& alert) { return alert.starts_with(kind); });
}

}  // namespace

Task<> Move::ask_both_sides() {
    BALLAST_CO_TRY(auto verdict, co_await assess());
    run_->report(95, "verifying: " + verdict.reason);
    const bool undecided =
        verdict.act == migration::OwnershipAct::ask_again || verdict.act == migration::OwnershipAct::conflict;
    if (!undecided) undecided_since_.reset();
    if (undecided) {
        const Result<void> noted = co_await note_undecided(verdict.reason);
        if (!noted) spdlog::warn("job={} vm={} {}", run_->id().str(), vm_.str(), noted.error().chain());
        BALLAST_CO_CHECK(co_await run_->sleep(run_->services().settings.retry_pause));
    }
    post({.kind = MigrationEventKind::judged, .verdict = std::move(verdict)});
    co_return Result<void>{};
}

/// Both copies are kept and asked again for as long as it takes; after a minute the VM says so.
Task<> Move::note_undecided(std::string reason) {
    const Timestamp now = run_->services().clock->now();
    if (!undecided_since_) undecided_since_ = now;
    const std::string kind = undecided_alert(run_->id());
    const auto row = run_->snapshot()->vms.find_ptr(vm_);
    if (now - *undecided_since_ < undecided_patience || !row || has_alert(*row, kind)) co_return Result<void>{};
    co_return co_await run_->commit([id = vm_, kind, reason](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(Vm vm, vm_of(transaction, id));
        const bool half_open = reason.find("has not noticed") != std::string::npos;
        const std::string_view way_out =
            half_open
                ? "close the dead stream on the target (`ss -K -t 'sport >= :49152'` there), and the pull goes on"
                : "look at both hosts (`virsh list --all`): once the copy that hangs is ended there, this goes on";
        const std::string alert = fmt::format("{} {}; {}", kind, reason, way_out);
        vm.alerts.push_back(alert);
        transaction.put(std::move(vm), {"vm.alert", alert});
        return {};
    });
}

Task<> Move::withdraw_undecided() {
    const auto row = run_->snapshot()->vms.find_ptr(vm_);
    const std::string kind = undecided_alert(run_->id());
    if (!row || !has_alert(*row, kind)) co_return Result<void>{};
    co_return co_await run_->commit([id = vm_, kind](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(Vm vm, vm_of(transaction, id));
        std::erase_if(vm.alerts, [&](const std::string& alert) { return alert.starts_with(kind); });
        transaction.put(std::move(vm), {"vm.alert_cleared", "the move is decided: nothing of it is open any more"});
        return {};
    });
}

/// The checks once more on the rows of now, and what must be true of the domain itself before the first act on it.
Task<> Move::check_pair() {
    const auto snapshot = run_->snapshot();
    const auto vm = snapshot->vms.find_ptr(vm_);
    if (!vm) co_return fail(Code::not_found, "VM {} is gone from the inventory", vm_);
    const Result<void> fine = migration::verdict_of(check_move(*run_, *vm, from_, to_, row()->mode));
    if (!fine) {
        post(MigrationEventKind::preflight_refused, fine.error().message());
        co_return Result<void>{};
    }
    const auto view = co_await look_at(source_, vm_);
    const bool paused = view && *view && (*view)->state == DomainState::paused;
    if (!view || !*view || ((*view)->state != DomainState::running && !paused)) {
        const std::string reason = view ? "the VM does not run on the source" : view.error().message();
        post(MigrationEventKind::preflight_refused, reason);
        co_return Result<void>{};
    }
    if (paused && migration::can_switch(row()->mode)) {
        post(MigrationEventKind::preflight_refused, "the VM was paused meanwhile: it does not switch to post-copy");
        co_return Result<void>{};
    }
    // Once more: while it waited for its lane, somebody may have attached one (SAFETY.md 9).
    if (const Result<void> known = check_known_disks(*vm, **view); !known) {
        post(MigrationEventKind::preflight_refused, known.error().message());
        co_return Result<void>{};
    }
    const Result<void> stamped = co_await stamp(false);
    if (stamped)
        post({.kind = MigrationEventKind::preflight_passed, .paused = paused});
    else
        post(MigrationEventKind::preflight_refused, stamped.error().chain());
    co_return Result<void>{};
}

/// Owner and epoch on the host; libvirt's own autostart flag goes with it (SAFETY.md 7, 8).
Task<> Move::stamp(bool on_target) {
    const auto snapshot = run_->snapshot();
    const Vm* vm = snapshot->vms.find(vm_);
    if (vm == nullptr) co_return fail(Code::not_found, "VM {} is gone from the inventory", vm_);
    const drivers::Stamp stamp{.cluster = snapshot->cluster, .owner = on_target ? to_ : from_, .epoch = vm->epoch};
    co_return co_await (on_target ? target_ : source_)->compute().stamp(vm_, stamp);
}

Task<> Move::set_downtime() {
    return source_->migration().set_downtime_limit(vm_, migration::downtime_limit_of(*row(), memo(), limits_));
}

Task<> Move::set_push_bandwidth(BytesPerSecond bandwidth) {
    return source_->migration().set_bandwidth(vm_, bandwidth, false);
}

/// At a switch the device state goes behind what the source's socket still holds, and the guest stands still for both.
/// So on a slow line QEMU is held back first for as long as a full socket takes to empty. Where no line is configured
/// the last look's throughput stands for it; if that is too low, the wait ends at time_to_empty_socket()'s longest.
Task<> Move::empty_the_socket() {
    const BytesPerSecond line = configured_line(*run_->snapshot(), from_, to_);
    const Milliseconds emptied = migration::time_to_empty_socket(line.count() > 0 ? line : last_progress_.throughput);
    if (emptied.count() == 0) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await set_push_bandwidth(least_bandwidth));
    co_return co_await run_->sleep(emptied);
}

/// A switch that was refused, or whose answer was lost: the hosts are asked what is, and where the source still pushes,
/// the machine gives the word again. Until then it pushes as before.
Task<> Move::start_post_copy() {
    const Result<void> emptied = co_await empty_the_socket();
    if (!emptied) {
        if (emptied.error().code() == Code::cancelled) co_return emptied;
        // A full socket costs downtime; a push that nobody ends costs the move. So the switch is asked for all the
        // same.
        spdlog::info("job={} vm={} the socket was not emptied: {}", run_->id().str(), vm_.str(),
                     emptied.error().chain());
    }
    const Result<void> switched = co_await source_->migration().start_post_copy(vm_);
    if (switched) co_return switched;
    const Result<void> as_before = co_await set_push_bandwidth(row()->terms.bandwidth.value_or(no_bandwidth_limit));
    if (!as_before) spdlog::warn("job={} vm={} {}", run_->id().str(), vm_.str(), as_before.error().chain());
    BALLAST_CO_CHECK(co_await run_->sleep(run_->services().settings.retry_pause));
    post(MigrationEventKind::job_lost, switched.error().message());
    co_return switched;
}

namespace {

/// A push that may be switched later needs the stream opened for post-copy from its start.
MigrationMode mode_for_libvirt(const Migration& migration) {
    const bool prepared = migration.mode == MigrationMode::pre_copy && migration::can_switch(migration);
    return prepared ? MigrationMode::hybrid : migration.mode;
}

}  // namespace

Task<> Move::call_migrate(bool resume_post_copy) {
    const auto snapshot = run_->snapshot();
    const Host* target = snapshot->hosts.find(to_);
    const auto vm = snapshot->vms.find_ptr(vm_);
    if (target == nullptr || !vm) co_return fail(Code::not_found, "VM or target host is gone from the inventory");
    const auto checks = check_move(*run_, *vm, from_, to_, row()->mode);
    const auto migration = row();
    const std::string& address = target->settings.migration_address;
    calling_ = true;
    resuming_ = resume_post_copy;
    boost::asio::co_spawn(run_->services().executor,
                          call({.vm = vm_,
                                .peer_uri = peer_uri_of(*target),
                                .migration_uri = address.empty() ? "" : "tcp://" + address,
                                .mode = mode_for_libvirt(*migration),
                                .bandwidth = migration->terms.bandwidth,
                                .post_copy_bandwidth =
                                    migration::pull_bandwidth(migration->terms, configured_line(*snapshot, from_, to_)),
                                .downtime_limit = migration::downtime_limit_of(*migration, memo(), limits_),
                                .knobs = migration->knobs,
                                .allow_unsafe = migration::disks_are_proven(checks),
                                .resume_post_copy = resume_post_copy,
                                .keep_paused = migration->paused,
                                .destination_xml = {}}),
                          boost::asio::detached);
    co_return Result<void>{};
}

namespace {

/// The last round ends with the guest's stop: no iteration follows that would show it.
void add_last_round(Migration& migration, const drivers::MigrationProgress& completed) {
    const int last = migration.rounds.empty() ? 0 : migration.rounds.back().round;
    if (completed.iteration <= last) return;
    migration.rounds.push_back({.round = completed.iteration,
                                .at = completed.elapsed,
                                .sent = completed.sent,
                                .remaining = Bytes(0),
                                .throughput = completed.throughput,
                                .dirty_pages_per_second = completed.dirty_pages_per_second});
}

/// Of a pull libvirt keeps no figures: what was sent at the last look is the whole only if hardly anything was left.
Bytes sent_in_all(const drivers::MigrationProgress& last) {
    constexpr std::int64_t hardly_any = 20;  // a twentieth
    return last.remaining * hardly_any <= last.total ? last.sent : Bytes(0);
}

/// What was seen on the way, for what the hypervisor does not tell afterwards.
struct Seen {
    Timestamp ended;
    std::optional<Timestamp> switched;
    std::optional<Milliseconds> downtime;
    Bytes sent;
    std::int64_t post_copy_requests = 0;
    int throttle = 0;
    std::optional<MigrationCompression> compression;
};

void add_seen(Migration& migration, const Seen& seen) {
    const auto since = [&](Timestamp begin) { return std::chrono::duration_cast<Milliseconds>(seen.ended - begin); };
    migration.total = since(migration.called.value_or(migration.started));
    if (seen.switched) migration.pull = since(*seen.switched);
    migration.throttle = std::max(migration.throttle, seen.throttle);
    migration.compression = seen.compression;
    migration.downtime = seen.downtime;
    if (seen.sent.count() > 0) migration.sent = seen.sent;
    if (seen.post_copy_requests > 0) migration.post_copy_requests = seen.post_copy_requests;
}

void add_outcome(Migration& migration, const drivers::MigrationProgress& completed) {
    if (completed.downtime && completed.downtime->count() > 0) migration.downtime = completed.downtime;
    if (completed.sent.count() > 0) migration.sent = completed.sent;
    if (completed.compression) migration.compression = completed.compression;
    if (completed.post_copy_requests > 0) migration.post_copy_requests = completed.post_copy_requests;
    add_last_round(migration, completed);
}

}  // namespace

/// Figures come from the hypervisor; where it has none any more, only what was seen is kept. The total is what whoever
/// asked has waited for the hypervisors: from the call to its return.
Task<> Move::record_result() {
    const Result<void> stamped = co_await stamp(true);
    const auto completed = co_await target_->migration().completed(vm_);
    Seen seen{.ended = call_returned_.value_or(run_->services().clock->now()),
              .switched = switched_,
              .downtime = {},
              .sent = sent_in_all(last_progress_),
              .post_copy_requests = last_progress_.post_copy_requests,
              .throttle = throttle_,
              .compression = last_progress_.compression};
    if (guest_stopped_ && guest_went_on_)
        seen.downtime = std::chrono::duration_cast<Milliseconds>(*guest_went_on_ - *guest_stopped_);
    BALLAST_CO_CHECK(
        co_await run_->commit([id = run_->id(), completed, seen](store::Transaction& transaction) -> Result<void> {
            const Migration* found = transaction.snapshot().migrations.find(id);
            if (found == nullptr) return fail(Code::internal, "migration {} is not in the store", id);
            Migration migration = *found;
            add_seen(migration, seen);
            if (completed && completed->status == drivers::MigrationStatus::completed)
                add_outcome(migration, *completed);
            if (migration.paused) migration.downtime.reset();  // nobody waited for it
            transaction.put(std::move(migration), {"migration.recorded", "duration, downtime and bytes are recorded"});
            return {};
        }));
    co_return stamped;
}

/// A copy that is proven to have ended: it was ended now, was off already, or its host is confirmed dead.
Task<> Move::end_copy(HostId host, std::shared_ptr<drivers::HostDriver> driver) {
    const auto snapshot = run_->snapshot();
    const Host* row = snapshot->hosts.find(host);
    if (row != nullptr && row->confirmed_dead) co_return Result<void>{};
    const Result<void> ended = co_await driver->compute().destroy(vm_);
    if (!ended && ended.error().code() == Code::failed_precondition) co_return Result<void>{};
    co_return absent_is_fine(ended);
}

/// Where the VM is to start again: where it is defined. libvirt defines it on the target before its CPUs run there.
Task<HostId> Move::home_of_the_lost() {
    const auto snapshot = run_->snapshot();
    const auto is_dead = [&](const HostId& id) {
        const Host* host = snapshot->hosts.find(id);
        return host != nullptr && host->confirmed_dead;
    };
    if (is_dead(to_)) co_return from_;
    if (is_dead(from_)) co_return to_;
    BALLAST_CO_TRY(const auto there, co_await look_at(target_, vm_));
    co_return there && there->persistent ? to_ : from_;
}

namespace {

bool has_ended(const migration::SideSays& side) {
    if (side.reach == migration::Reach::confirmed_dead) return true;
    return side.reach == migration::Reach::answered && !(side.present && is_active(side.state));
}

/// As a VM runs that takes part in no move.
bool runs_whole(const migration::SideSays& side) {
    return side.reach == migration::Reach::answered && side.present && side.state == DomainState::running;
}

/// A restart that was queued before the daemon died is not queued twice.
bool is_start_queued(const Snapshot& snapshot, const VmId& vm) {
    bool queued = false;
    snapshot.jobs.for_each([&](const Job& job) {
        queued = queued || (job.kind == "vm.start" && job.vm == vm && !is_finished(job.state));
    });
    return queued;
}

}  // namespace

/// Post-copy that lost one side: what is left of both copies ends, and the VM starts again from its disk (SAFETY.md 4).
/// The other definition is stale from then on. libvirt 9.0 may refuse to remove it: where QEMU died on the source in
/// the pull phase, it keeps the migration's job on the domain until its libvirtd is started again. That keeps nobody
/// from starting; the definition is an alert of the reconciler (SAFETY.md 8).
Task<> Move::restart_from_disk() {
    BALLAST_CO_TRY(const HostId home, co_await home_of_the_lost());
    BALLAST_CO_CHECK(co_await end_copy(from_, source_));
    BALLAST_CO_CHECK(co_await end_copy(to_, target_));
    const Result<void> removed = co_await (home == to_ ? source_ : target_)->compute().undefine(vm_);
    if (const auto kept = absent_is_fine(removed); !kept)
        spdlog::warn("job={} vm={} a stale definition is left: {}", run_->id().str(), vm_.str(), kept.error().chain());
    co_return co_await run_->commit([vm_id = vm_, home](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(Vm vm, vm_of(transaction, vm_id));
        const std::string where = host_name(transaction.snapshot(), home);
        if (vm.host != home) ++vm.epoch;
        vm.host = home;
        set_state(transaction, std::move(vm), VmState::stopped,
                  "its running state was lost in the move; it restarts from its disk", "vm.running_state_lost");
        if (is_start_queued(transaction.snapshot(), vm_id)) return {};
        BALLAST_CHECK(submit(transaction, {.kind = "vm.start",
                                           .vm = vm_id,
                                           .host = home,
                                           .subject = {},
                                           .params = JsonText{to_json_text(VmStartParams{.host = where})}}));
        return {};
    });
}

/// Asked before every further try: whether the VM is lost as before, or has come up meanwhile. Open while a host is
/// silent.
Task<std::optional<bool>> Move::is_still_lost() {
    BALLAST_CO_TRY(const auto verdict, co_await assess());
    if (verdict.act == migration::OwnershipAct::restart_from_disk) co_return true;
    BALLAST_CO_TRY(const auto source, co_await ask(from_));
    BALLAST_CO_TRY(const auto target, co_await ask(to_));
    if (has_ended(source) && has_ended(target)) co_return true;
    const bool runs = (runs_whole(source) && has_ended(target)) || (runs_whole(target) && has_ended(source));
    co_return runs ? std::optional(false) : std::nullopt;
}

/// Repeated until it is done, or somebody cancels: a VM whose running state is lost is not left lying there.
Task<> Move::restart_until_done(bool judged_just_now) {
    for (std::optional<bool> lost = judged_just_now ? std::optional(true) : std::nullopt; lost.value_or(true);) {
        if (lost) {
            const Result<void> done = co_await restart_from_disk();
            if (done) co_return done;
            run_->report(97, "restarting from its disk: " + done.error().message());
            BALLAST_CO_CHECK(co_await run_->sleep(run_->services().settings.retry_pause));
        }
        if (run_->cancel_requested()) co_return fail(Code::cancelled, "the restart from disk was called off");
        const auto asked = co_await is_still_lost();
        lost = asked ? *asked : std::nullopt;
        if (!lost) BALLAST_CO_CHECK(co_await run_->sleep(run_->services().settings.retry_pause));
    }
    co_return Result<void>{};  // it runs again
}

Task<> Move::alert_operator() {
    return run_->commit(
        [id = vm_, job = run_->id(), reason = last_reason_](store::Transaction& transaction) -> Result<void> {
            BALLAST_TRY(Vm vm, vm_of(transaction, id));
            const std::string alert = fmt::format("migration {}: {}", job, reason);
            if (std::ranges::find(vm.alerts, alert) != vm.alerts.end()) return {};
            vm.alerts.push_back(alert);
            transaction.put(std::move(vm), {"vm.alert", alert});
            return {};
        });
}

}  // namespace ballast::jobs
