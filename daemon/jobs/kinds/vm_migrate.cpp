// vm.migrate: claim, then the migration state machine (daemon/jobs/migrate/move.h).
#include <algorithm>
#include <set>

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

/// What the host says of a disk's file; nothing where it lies in no pool, or the host can't say.
Task<std::optional<Bytes>> size_on_host(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host,
                                        std::string path) {
    const auto snapshot = run->snapshot();
    const Pool* pool = find_pool_holding(*snapshot, host, path);
    if (pool == nullptr) co_return std::nullopt;
    const std::string name = path.substr(pool->path.size() + (pool->path.ends_with('/') ? 0 : 1));
    const auto volume = co_await driver->storage().read_volume(pool->name, name);
    co_return volume ? std::optional(volume->capacity) : std::nullopt;
}

/// An adopted definition names its disks' files, not their sizes, and they may have grown since somebody looked: those
/// that are to be copied are read, so that the room for them can be checked.
Task<> read_disk_sizes(RunPtr run, std::shared_ptr<const Vm> vm) {
    if (vm->created_by_ballast) co_return Result<void>{};
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(*vm->host));
    std::vector<DiskSpec> disks = vm->spec.disks;
    for (DiskSpec& disk : disks) {
        if (disk.read_only || disk.path.empty()) continue;
        BALLAST_CO_TRY(const auto size, co_await size_on_host(run, driver, *vm->host, disk.path));
        if (size) disk.size = *size;
    }
    if (disks == vm->spec.disks) co_return Result<void>{};
    co_return co_await run->commit([id = vm->id, disks](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(Vm now, vm_of(transaction, id));
        for (DiskSpec& disk : now.spec.disks)
            if (const auto read = std::ranges::find(disks, disk.path, &DiskSpec::path); read != disks.end())
                disk.size = read->size;
        transaction.put(std::move(now), {"vm.changed", "the sizes of its disks were read"});
        return {};
    });
}

/// The room that the disks' pools have on the target now: libvirt counts it only when told to, and the inventory
/// follows it slowly.
Task<> read_room(RunPtr run, std::shared_ptr<const Vm> vm, HostId host) {
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(host));
    const auto snapshot = run->snapshot();
    std::set<std::string> pools;
    for (const DiskSpec& disk : vm->spec.disks)
        if (const Pool* pool = find_pool_holding(*snapshot, *vm->host, disk.path)) pools.insert(pool->name);
    for (const std::string& pool : pools) {
        const Result<void> refreshed = co_await driver->storage().refresh(pool);
        if (!refreshed && refreshed.error().code() != Code::not_found) co_return refreshed;  // the preflight names it
    }
    BALLAST_CO_TRY(const auto views, co_await driver->storage().list_pools());
    co_return co_await run->commit([host, views](store::Transaction& transaction) -> Result<void> {
        for (const auto& view : views) {
            const Pool* row = find_pool(transaction.snapshot(), host, view.name);
            if (row == nullptr || row->available == view.available) continue;
            Pool pool = *row;
            pool.available = view.available;
            pool.capacity = view.capacity;
            const std::string message =
                fmt::format("pool {} on {}: {} of {} free", pool.name, host_name(transaction.snapshot(), host),
                            pool.available, pool.capacity);
            transaction.put(std::move(pool), {"pool.changed", message});
        }
        return {};
    });
}

/// Disks that go along are judged on fresh evidence of the pair and of the target's pools: a disk on storage that both
/// hosts share would be copied over itself (SAFETY.md 9).
Task<> check_copied_disks(RunPtr run, VmMigrateParams params) {
    if (params.knobs.copy_disks == DiskCopy::none || run->is_done("claim")) co_return Result<void>{};
    if (params.to.empty())
        co_return fail(Code::invalid_argument, "knobs.copy_disks: the disks are copied to one host; name it in `to`");
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm || !vm->host) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_TRY(const auto to, find_host(*run->snapshot(), params.to));
    BALLAST_CO_CHECK(co_await refresh_pair(run, *vm->host, to->id));
    BALLAST_CO_CHECK(co_await read_room(run, vm, to->id));
    BALLAST_CO_CHECK(co_await read_disk_sizes(run, vm));
    const auto snapshot = run->snapshot();
    const Host* from = snapshot->hosts.find(*vm->host);
    const Vm* now = snapshot->vms.find(vm->id);
    if (from == nullptr || now == nullptr)
        co_return fail(Code::not_found, "VM {} or its host is gone from the inventory", vm->name);
    auto checks = migration::judge_move(*now, *from, *to, find_pair(*snapshot, from->id, to->id), *snapshot,
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
