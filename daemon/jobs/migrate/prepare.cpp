// Before a migration: everything that would make it fail or be unsafe is found here and named with its way out.
#include <algorithm>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/placing.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/params.h"
#include "migration/preflight.h"

namespace ballast::jobs {
namespace {

struct Wanted {
    VmMigrateParams params;
    std::shared_ptr<const Vm> vm;
    HostId from;
    std::optional<HostId> to;
    MigrationTerms terms;
    MigrationMode mode = MigrationMode::pre_copy;
};

MigrationMode mode_named(ModeChoice choice) {
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
    wanted.mode = mode_named(wanted.params.mode);
    if (wanted.params.to.empty()) return wanted;
    BALLAST_TRY(const auto target, find_host(*snapshot, wanted.params.to));
    wanted.to = target->id;
    return wanted;
}

/// Where no target is named: the hosts that the preflight accepts are the candidates of the scheduler.
std::vector<HostId> refused_hosts(const RunPtr& run, const Wanted& wanted) {
    std::vector<HostId> refused;
    run->snapshot()->hosts.for_each([&](const Host& host) {
        if (!migration::verdict_of(check_move(*run, *wanted.vm, wanted.from, host.id, wanted.mode)))
            refused.push_back(host.id);
    });
    return refused;
}

/// The pair's evidence is made fresh where it is missing or old. Nothing is probed on a host that the static checks
/// refuse anyway.
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

/// Whether another migration may begin on these two hosts (ARCHITECTURE.md 2: lanes).
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

Result<void> put_claim(store::Transaction& transaction, const RunPtr& run, const Wanted& wanted,
                       const scheduler::PlacementRequest& request, const HostId& to) {
    BALLAST_TRY(Vm vm, vm_of(transaction, run->vm()));
    if (vm.host != wanted.from) return fail(Code::conflict, "VM {} moved meanwhile", vm.name);
    if (!lanes_free(transaction.snapshot(), wanted.from, to, run->services().settings))
        return fail(Code::unavailable, "every migration lane is taken");
    BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), to, request));
    const std::string where = host_name(transaction.snapshot(), to);
    transaction.put(scheduler::make_claim(transaction.snapshot(), to, request, run->id(), transaction.now()),
                    {"claim.made", fmt::format("{} claims {} on {}", vm.name, vm.spec.memory, where)});
    Migration row;
    row.id = run->id();
    row.vm = vm.id;
    row.from = wanted.from;
    row.to = to;
    row.mode = wanted.mode;
    row.requested = wanted.params.mode;
    row.terms = wanted.terms;
    row.knobs = wanted.params.knobs;
    row.memory = vm.balloon;
    row.epoch = vm.epoch + 1;
    row.started = transaction.now();
    transaction.put(std::move(row),
                    {"migration.claimed", fmt::format("{} is to move from {} to {}", vm.name,
                                                      host_name(transaction.snapshot(), wanted.from), where)});
    set_state(transaction, std::move(vm), VmState::migrating, fmt::format("migrating to {}", where), "vm.migrating");
    return {};
}

Task<> claim(RunPtr run, Wanted wanted) {
    scheduler::PlacementRequest request{.spec = wanted.vm->spec,
                                        .vm = run->vm(),
                                        .only = wanted.to,
                                        .exclude = {},
                                        .for_migration = true,
                                        .from = wanted.from};
    if (!wanted.to) request.exclude = refused_hosts(run, wanted);
    co_return co_await claim_best_host(run, request, wanted.vm->name, "claim",
                                       [run, wanted, request](store::Transaction& transaction, const HostId& to) {
                                           return put_claim(transaction, run, wanted, request, to);
                                       });
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
    const migration::MoveTerms terms{
        .mode = mode, .now = run.services().clock->now(), .evidence_age = run.services().settings.evidence_age};
    return migration::judge_move(vm, *source, *target, find_pair(*snapshot, from, to), *snapshot, terms);
}

Task<> prepare_move(RunPtr run) {
    if (run->is_done("claim")) co_return Result<void>{};
    BALLAST_CO_TRY(const Wanted wanted, what_is_asked(run));
    for (;;) {
        BALLAST_CO_CHECK(go_on(*run));
        BALLAST_CO_CHECK(co_await refresh_pairs(run, wanted));
        if (wanted.to)
            BALLAST_CO_CHECK(migration::verdict_of(check_move(*run, *wanted.vm, wanted.from, *wanted.to, wanted.mode)));
        const Result<void> claimed = co_await claim(run, wanted);
        if (claimed) co_return claimed;
        const bool lanes_full = claimed.error().code() == Code::unavailable;
        if (!lanes_full) co_return claimed;
        run->report(3, "waiting for a migration lane");
        BALLAST_CO_CHECK(co_await run->pause(std::chrono::seconds(5)));
    }
}

}  // namespace ballast::jobs
