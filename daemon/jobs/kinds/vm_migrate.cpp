// vm.migrate: claim, then the migration state machine (daemon/jobs/migrate/move.h).
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/removal.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/migrate/offline.h"
#include "daemon/jobs/params.h"
#include "migration/preflight.h"

namespace ballast::jobs {
namespace {

/// What the host shows before anything is claimed; where it can't be asked, the preflight says so.
Task<> check_disks_on_host(RunPtr run) {
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (run->is_done("claim") || !vm || !vm->host) co_return Result<void>{};
    const auto driver = run->services().hosts->reachable(*vm->host);
    if (!driver) co_return Result<void>{};
    const auto view = co_await look_at(*driver, vm->id);
    if (!view || !*view) co_return Result<void>{};
    co_return check_known_disks(*vm, **view);
}

/// Disks that go along are judged on fresh evidence of the pair: a disk on storage that both hosts share would be
/// copied over itself (SAFETY.md 9).
Task<> check_copied_disks(RunPtr run, VmMigrateParams params) {
    if (params.knobs.copy_disks == DiskCopy::none || run->is_done("claim")) co_return Result<void>{};
    if (params.to.empty())
        co_return fail(Code::invalid_argument, "knobs.copy_disks: the disks are copied to one host; name it in `to`");
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm || !vm->host) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_TRY(const auto to, find_host(*run->snapshot(), params.to));
    BALLAST_CO_CHECK(co_await refresh_pair(run, *vm->host, to->id));
    const auto snapshot = run->snapshot();
    const Host* from = snapshot->hosts.find(*vm->host);
    if (from == nullptr) co_return fail(Code::not_found, "host {} is gone from the inventory", *vm->host);
    auto checks = migration::judge_move(*vm, *from, *to, find_pair(*snapshot, from->id, to->id), *snapshot,
                                        {.now = run->services().clock->now(),
                                         .evidence_age = run->services().settings.evidence_age,
                                         .knobs = params.knobs});
    std::erase_if(checks, [](const PairCheck& check) { return !check.name.starts_with("disk:"); });
    co_return migration::verdict_of(checks);
}

/// libvirt copies a domain's writable disks: no other volume of the VM, attached or not, was copied.
bool was_copied(const Vm& vm, const Volume& volume) {
    return std::ranges::any_of(vm.spec.disks,
                               [&](const DiskSpec& disk) { return !disk.read_only && disk.path == volume.path; });
}

/// Volumes of Ballast's own that were copied to the target: what the source still has of them, and their rows.
std::vector<Volume> left_behind(const Snapshot& snapshot, const Migration& row) {
    std::vector<Volume> left;
    const Vm* vm = snapshot.vms.find(row.vm);
    if (row.knobs.copy_disks == DiskCopy::none || row.phase != MigrationPhase::succeeded || vm == nullptr) return left;
    for (const auto& volume : snapshot.volumes.select([&](const Volume& one) { return one.vm == row.vm; }))
        if (volume->host != row.to && was_copied(*vm, *volume)) left.push_back(*volume);
    return left;
}

/// The copies are the VM's disks now. The source's files are no domain's any more: its definition is gone, proven by
/// the end of the move; a file that somebody else uses stays (SAFETY.md 10).
Task<> follow_copied_disks(RunPtr run) {
    const auto row = run->snapshot()->migrations.find_ptr(run->id());
    if (!row) co_return Result<void>{};
    for (const Volume& volume : left_behind(*run->snapshot(), *row)) {
        const auto source = run->services().hosts->reachable(row->from);
        Result<void> deleted = co_await check_removable(run, volume.pool, volume.path, run->vm());
        if (deleted && !source) deleted = std::unexpected(source.error());
        if (deleted) deleted = co_await (*source)->storage().delete_volume(volume.pool, volume.name);
        const std::string where = host_name(*run->snapshot(), row->from);
        const std::string message =
            deleted ? fmt::format("volume {} was copied along; {} has it no more", volume.name, where)
                    : fmt::format("volume {} was copied along; {} is left on {}: {}", volume.name, volume.path, where,
                                  deleted.error().message());
        BALLAST_CO_CHECK(co_await run->commit(
            [id = volume.id, to = row->to, message](store::Transaction& transaction) -> Result<void> {
                const Volume* found = transaction.snapshot().volumes.find(id);
                if (found == nullptr) return {};
                Volume moved = *found;
                moved.host = to;
                transaction.put(std::move(moved), {"volume.moved", message});
                return {};
            }));
    }
    co_return Result<void>{};
}

}  // namespace

Task<Json> migrate_vm(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmMigrateParams>(run->params(), ""));
    if (params.mode == ModeChoice::offline) co_return co_await move_offline(run);
    BALLAST_CO_CHECK(co_await check_disks_on_host(run));
    BALLAST_CO_CHECK(co_await check_copied_disks(run, params));
    BALLAST_CO_CHECK(co_await prepare_move(run));
    BALLAST_CO_TRY(const auto move, Move::open(run));
    LiveMoves& moves = run->services().migrations->moves();
    moves.enter(run->id(), move);
    auto outcome = co_await move->go();
    moves.leave(run->id());
    BALLAST_CO_CHECK(co_await follow_copied_disks(run));
    co_return outcome;
}

}  // namespace ballast::jobs
