// Before a migration: everything that would make it fail or be unsafe is found here and named with its way out.
#include <algorithm>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/params.h"
#include "migration/choose.h"
#include "migration/compatibility.h"
#include "migration/preflight.h"
#include "scheduler/placement.h"
#include "scheduler/spare_memory.h"

namespace ballast::jobs {
namespace {

constexpr int most_attempts = 8;

struct Wanted {
    VmMigrateParams params;
    std::shared_ptr<const Vm> vm;
    HostId from;
    std::optional<HostId> to;  ///< as it was asked for; nothing: the scheduler chooses
    MigrationTerms terms;
};

/// One target with what the forecast says of it.
struct Planned {
    HostId to;
    migration::Forecast forecast;
    migration::Choice choice;
};

migration::HypervisorVersions versions_between(const Snapshot& snapshot, const HostId& from,
                                               const std::optional<HostId>& to) {
    const Host* source = snapshot.hosts.find(from);
    const Host* target = to ? snapshot.hosts.find(*to) : nullptr;
    if (source == nullptr) return {};
    const auto own = migration::versions_of(source->facts);
    return target == nullptr ? own : migration::older_of(own, migration::versions_of(target->facts));
}

Result<Wanted> what_is_asked(const RunPtr& run) {
    Wanted wanted;
    BALLAST_TRY(wanted.params, parse_as<VmMigrateParams>(run->params(), ""));
    const auto snapshot = run->snapshot();
    wanted.vm = snapshot->vms.find_ptr(run->vm());
    if (!wanted.vm) return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_TRY(wanted.from, owner_of(*wanted.vm));
    BALLAST_TRY(wanted.terms, migration::resolve_terms(wanted.params.policy, wanted.params.mode, wanted.params.deadline,
                                                       wanted.vm->spec, run->services().settings.migration_policy,
                                                       run->services().clock->now()));
    if (!wanted.params.to.empty()) {
        BALLAST_TRY(const auto target, find_host(*snapshot, wanted.params.to));
        wanted.to = target->id;
    }
    BALLAST_CHECK(migration::check_combination(wanted.params.mode, wanted.params.knobs, wanted.terms,
                                               versions_between(*snapshot, wanted.from, wanted.to)));
    return wanted;
}

/// The mode that the preflight looks at before there is a choice: what was asked for by name.
MigrationMode mode_to_check(ModeChoice choice) {
    switch (choice) {
        case ModeChoice::stop_and_copy:
            return MigrationMode::stop_and_copy;
        case ModeChoice::post_copy:
            return MigrationMode::post_copy;
        case ModeChoice::hybrid:
            return MigrationMode::hybrid;
        case ModeChoice::auto_:
        case ModeChoice::pre_copy:
        case ModeChoice::offline:
            return MigrationMode::pre_copy;
    }
    std::unreachable();
}

/// Where no target is named: the hosts that the preflight accepts are the candidates of the scheduler.
std::vector<HostId> refused_hosts(const RunPtr& run, const Wanted& wanted) {
    std::vector<HostId> refused;
    run->snapshot()->hosts.for_each([&](const Host& host) {
        if (!migration::verdict_of(
                check_move(*run, *wanted.vm, wanted.from, host.id, mode_to_check(wanted.params.mode))))
            refused.push_back(host.id);
    });
    return refused;
}

/// The target: the one that was asked for, or the scheduler's best of those that the preflight accepts.
Result<HostId> choose_target(const RunPtr& run, const Wanted& wanted, const scheduler::PlacementRequest& request,
                             int attempt) {
    if (wanted.to) {
        const auto checks = check_move(*run, *wanted.vm, wanted.from, *wanted.to, mode_to_check(wanted.params.mode));
        BALLAST_CHECK(migration::verdict_of(checks));
    }
    const std::uint64_t seed = std::hash<std::string>{}(run->id().str()) + static_cast<std::uint64_t>(attempt);
    const scheduler::Decision decision =
        scheduler::decide(*run->snapshot(), request, seed, run->services().preferences());
    if (!decision.chosen) return std::unexpected(scheduler::refusal(decision, wanted.vm->name));
    return *decision.chosen;
}

scheduler::PlacementRequest placement_of(const RunPtr& run, const Wanted& wanted) {
    scheduler::PlacementRequest request{.spec = wanted.vm->spec,
                                        .vm = run->vm(),
                                        .only = wanted.to,
                                        .exclude = {},
                                        .for_migration = true,
                                        .from = wanted.from,
                                        .copy_disks = wanted.params.knobs.copy_disks != DiskCopy::none};
    if (!wanted.to) request.exclude = refused_hosts(run, wanted);
    return request;
}

/// Forecast and choice for one target. Errors: those of migration::choice_of, and the preflight's of the chosen mode.
Result<Planned> plan_move(const RunPtr& run, const Wanted& wanted, const HostId& to) {
    Planned planned{.to = to, .forecast = {}, .choice = {}};
    BALLAST_TRY(
        planned.forecast,
        run->services().migrations->forecast(
            *wanted.vm, to,
            {.terms = wanted.terms, .requested = wanted.params.mode, .knobs = wanted.params.knobs, .self = run->id()}));
    BALLAST_TRY(planned.choice, migration::choice_of(planned.forecast));
    const auto checks = check_move(*run, *wanted.vm, wanted.from, to, planned.choice.mode);
    BALLAST_CHECK(migration::verdict_of(checks));
    return planned;
}

migration::QueuedMove queued_move(const RunPtr& run, const Wanted& wanted, const Planned& planned) {
    const auto& expected = migration::of_mode(planned.forecast, planned.choice.mode);
    return {.id = run->id(),
            .from = wanted.from,
            .to = planned.to,
            .priority = wanted.terms.priority,
            .deadline = wanted.terms.deadline,
            .bytes = expected.bytes.likely,
            .duration = expected.total.likely,
            .asked = run->row()->created};
}

/// The lanes once more, on the rows of the claim's own transaction.
bool lanes_free(const Snapshot& snapshot, const HostId& from, const HostId& to, const Settings& settings) {
    int outgoing = 0;
    int incoming = 0;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (migration::has_ended(row.phase)) return;
        outgoing += row.from == from ? 1 : 0;
        incoming += row.to == to ? 1 : 0;
    });
    return outgoing < settings.outgoing_migrations && incoming < settings.incoming_migrations;
}

/// Room for XBZRLE's cache beside the guest, on the rows of the claim's own transaction: another move may have taken
/// it.
Result<void> check_cache(const Snapshot& snapshot, const HostId& from, const Vm& vm, const MigrationKnobs& knobs,
                         const scheduler::MemoryAdmission* memory) {
    if (!knobs.xbzrle || !knobs.xbzrle_cache || snapshot.hosts.find(from) == nullptr) return {};
    const Bytes spare = scheduler::spare_memory(snapshot, from, vm, memory);
    if (*knobs.xbzrle_cache <= spare) return {};
    return fail(Code::resource_exhausted,
                "XBZRLE needs {} for its cache on {}, which can spare {}; ask for a smaller xbzrle_cache or none",
                *knobs.xbzrle_cache, host_name(snapshot, from), spare);
}

std::string reason_of(const migration::Choice& choice) {
    if (choice.warnings.empty()) return choice.reason;
    return fmt::format("{}; but {}", choice.reason, fmt::join(choice.warnings, "; "));
}

Migration new_row(const RunPtr& run, const Vm& vm, const Wanted& wanted, const Planned& planned) {
    Migration row;
    row.id = run->id();
    row.vm = vm.id;
    row.from = wanted.from;
    row.to = planned.to;
    row.mode = planned.choice.mode;
    row.requested = wanted.params.mode;
    row.reason = reason_of(planned.choice);
    row.terms = wanted.terms;
    row.terms.post_copy = wanted.terms.post_copy && planned.forecast.input.no_post_copy.empty();
    row.terms.bandwidth = planned.choice.bandwidth;
    row.terms.post_copy_bandwidth = planned.choice.post_copy_bandwidth;
    row.knobs = planned.choice.knobs;
    row.memory = planned.forecast.input.memory;
    row.forecast = JsonText{to_json_text(planned.forecast)};
    row.epoch = vm.epoch + 1;
    return row;
}

Result<void> put_claim(store::Transaction& transaction, const RunPtr& run, const Wanted& wanted, const Planned& planned,
                       const scheduler::Preferences& known) {
    BALLAST_TRY(Vm vm, vm_of(transaction, run->vm()));
    if (vm.host != wanted.from) return fail(Code::conflict, "VM {} moved meanwhile", vm.name);
    if (!lanes_free(transaction.snapshot(), wanted.from, planned.to, run->services().settings))
        return fail(Code::unavailable, "every migration lane is taken");
    scheduler::PlacementRequest request = placement_of(run, wanted);
    request.only = planned.to;
    request.exclude.clear();
    BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), planned.to, request, known));
    BALLAST_CHECK(check_cache(transaction.snapshot(), wanted.from, vm, planned.choice.knobs, known.memory.get()));
    const std::string where = host_name(transaction.snapshot(), planned.to);
    transaction.put(scheduler::make_claim(transaction.snapshot(), planned.to, request, run->id(), transaction.now()),
                    {"claim.made", fmt::format("{} claims {} on {}", vm.name, vm.spec.memory, where)});
    Migration row = new_row(run, vm, wanted, planned);
    row.started = transaction.now();
    const std::string message = fmt::format("{} is to move from {} to {}: {}", vm.name,
                                            host_name(transaction.snapshot(), wanted.from), where, row.reason);
    transaction.put(std::move(row), {"migration.claimed", message});
    set_state(transaction, std::move(vm), VmState::migrating, fmt::format("migrating to {}", where), "vm.migrating");
    return {};
}

BytesPerSecond speed_of(const Planned& planned) {
    return planned.choice.bandwidth.value_or(planned.forecast.input.link.bandwidth.likely);
}

/// A refusal in the claim's transaction that another target, or another try, may get round.
bool lost_a_race(const Error& error) {
    return error.code() == Code::resource_exhausted || error.code() == Code::unavailable;
}

/// Waits for its lanes, then claims with a forecast of that moment.
Task<> queue_and_claim(RunPtr run, Wanted wanted, Planned planned) {
    LaneQueue& lanes = run->services().migrations->lanes();
    BALLAST_CO_CHECK(co_await lanes.wait_turn(run, queued_move(run, wanted, planned)));
    const Result<void> meanwhile = go_on(*run);
    if (meanwhile && run->services().shrink_before_move) {
        run->report(4, "making it smaller where that pays");
        static_cast<void>(co_await run->services().shrink_before_move(run->vm(), speed_of(planned)));
    }
    if (auto now = run->snapshot()->vms.find_ptr(run->vm()))
        wanted.vm = std::move(now);  // it may be paused by now, or not
    Result<Planned> fresh = meanwhile ? plan_move(run, wanted, planned.to) : std::unexpected(meanwhile.error());
    Result<void> claimed = fresh ? Result<void>{} : std::unexpected(fresh.error());
    if (fresh)
        claimed = co_await run->done(
            "claim", fmt::format("on {}", host_name(*run->snapshot(), planned.to)),
            [run, wanted, chosen = *fresh, known = run->services().preferences()](store::Transaction& transaction) {
                return put_claim(transaction, run, wanted, chosen, known);
            });
    lanes.leave(run->id());
    co_return claimed;
}

Task<> refresh_pairs(RunPtr run, Wanted wanted) {
    if (wanted.to) co_return co_await refresh_pair(run, wanted.from, *wanted.to);
    const auto snapshot = run->snapshot();
    for (const auto& host : snapshot->hosts.rows()) BALLAST_CO_CHECK(co_await refresh_pair(run, wanted.from, host->id));
    co_return Result<void>{};
}

}  // namespace

std::vector<PairCheck> check_move(const Run& run, const Vm& vm, const HostId& from, const HostId& to,
                                  MigrationMode mode) {
    const auto snapshot = run.snapshot();
    const Host* source = snapshot->hosts.find(from);
    const Host* target = snapshot->hosts.find(to);
    if (source == nullptr || target == nullptr)
        return {{.name = "host_known",
                 .verdict = CheckVerdict::refused,
                 .detail = "a host of this migration is gone from the inventory",
                 .way_out = "choose another target"}};
    migration::MoveTerms terms{
        .mode = mode, .now = run.services().clock->now(), .evidence_age = run.services().settings.evidence_age};
    if (const auto params = parse_as<VmMigrateParams>(run.params(), "")) {
        terms.knobs = params->knobs;
        terms.offline = params->mode == ModeChoice::offline;
    }
    return migration::judge_move(vm, *source, *target, find_pair(*snapshot, from, to), *snapshot, terms);
}

Task<> refresh_pair(RunPtr run, HostId from, HostId to) {
    const auto snapshot = run->snapshot();
    const Host* target = snapshot->hosts.find(to);
    const HostPair* pair = find_pair(*snapshot, from, to);
    const Timestamp now = run->services().clock->now();
    const bool fresh = pair != nullptr && now - pair->checked <= run->services().settings.evidence_age / 2;
    if (from == to || fresh || target == nullptr || !accepts_work(*target)) co_return Result<void>{};
    run->report(2, fmt::format("checking the pair {} and {}", host_name(*snapshot, from), target->name));
    BALLAST_CO_CHECK(co_await run->services().observer->check_pair(from, to));
    co_return Result<void>{};
}

Task<> prepare_move(RunPtr run) {
    if (run->is_done("claim")) co_return Result<void>{};
    BALLAST_CO_TRY(const Wanted wanted, what_is_asked(run));
    Result<void> claimed{};
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        BALLAST_CO_CHECK(go_on(*run));
        BALLAST_CO_CHECK(co_await refresh_pairs(run, wanted));
        BALLAST_CO_TRY(const HostId to, choose_target(run, wanted, placement_of(run, wanted), attempt));
        BALLAST_CO_TRY(const Planned planned, plan_move(run, wanted, to));
        claimed = co_await queue_and_claim(run, wanted, planned);
        if (claimed || !lost_a_race(claimed.error())) co_return claimed;
    }
    co_return claimed;
}

}  // namespace ballast::jobs
