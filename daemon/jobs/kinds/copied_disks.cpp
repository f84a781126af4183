#include "daemon/jobs/kinds/copied_disks.h"

#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/removal.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/params.h"
#include "migration/preflight.h"

namespace ballast::jobs {
namespace {

/// Where a disk's file is: a pool of the host that holds its folder, and its name there.
struct Place {
    std::string pool;
    std::string name;
};

std::optional<Place> place_of(const Snapshot& snapshot, const HostId& host, const std::string& path) {
    const Pool* pool = find_pool_holding(snapshot, host, path);
    if (pool == nullptr) return std::nullopt;
    return Place{.pool = pool->name, .name = path.substr(pool->path.size() + (pool->path.ends_with('/') ? 0 : 1))};
}

/// What the host says of a disk's file; nothing where it lies in no pool, or the host can't say.
Task<std::optional<Bytes>> size_on_host(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host,
                                        std::string path) {
    const auto place = place_of(*run->snapshot(), host, path);
    if (!place) co_return std::nullopt;
    const auto volume = co_await driver->storage().read_volume(place->pool, place->name);
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

/// The journal's name for a file that the target had not when the move began.
std::string absence_of(const DiskSpec& disk) {
    return "absent:" + disk.path;
}

/// Files that libvirt will make: where the move fails, they are of nobody.
Task<> note_what_is_not_there(RunPtr run, Vm vm, HostId target) {
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(target));
    for (const DiskSpec& disk : vm.spec.disks) {
        const auto place = place_of(*run->snapshot(), target, disk.path);
        if (disk.read_only || !place) continue;
        const auto there = co_await driver->storage().read_volume(place->pool, place->name);
        if (!there && there.error().code() == Code::not_found) BALLAST_CO_CHECK(co_await run->done(absence_of(disk)));
    }
    co_return Result<void>{};
}

/// Whether the move ended with the VM where it was and nothing of it on the target.
bool came_to_nothing(const Vm& vm, const Migration& row) {
    const bool ended = row.phase == MigrationPhase::failed || row.phase == MigrationPhase::cancelled;
    return ended && vm.host == row.from &&
           std::ranges::find(vm.definitions, row.to, &Definition::host) == vm.definitions.end();
}

/// One half copy: its file was not there before, its move has ended, and nobody uses it (SAFETY.md 10).
Task<> remove_half_copy(RunPtr run, HostId target, DiskSpec disk) {
    const auto place = place_of(*run->snapshot(), target, disk.path);
    if (!place) co_return Result<void>{};
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(target));
    BALLAST_CO_CHECK(co_await driver->storage().refresh(place->pool));
    const auto there = co_await driver->storage().read_volume(place->pool, place->name);
    if (!there) co_return absent_is_fine(std::unexpected(there.error()));
    BALLAST_CO_CHECK(co_await check_removable(run, place->pool, disk.path, run->vm()));
    BALLAST_CO_CHECK(co_await driver->storage().delete_volume(place->pool, place->name));
    co_return co_await run->done("removed:" + disk.path, fmt::format("the half copy on {}, which this move had made",
                                                                     host_name(*run->snapshot(), target)));
}

}  // namespace

Task<> check_copied_disks(RunPtr run, std::string target) {
    if (run->is_done("claim")) co_return Result<void>{};
    if (target.empty())
        co_return fail(Code::invalid_argument, "knobs.copy_disks: the disks are copied to one host; name it in `to`");
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm || !vm->host) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_TRY(const auto to, find_host(*run->snapshot(), target));
    BALLAST_CO_CHECK(co_await refresh_pair(run, *vm->host, to->id));
    BALLAST_CO_CHECK(co_await read_room(run, vm, to->id));
    BALLAST_CO_CHECK(co_await read_disk_sizes(run, vm));
    const auto snapshot = run->snapshot();
    const Host* from = snapshot->hosts.find(*vm->host);
    const Vm* now = snapshot->vms.find(vm->id);
    if (from == nullptr || now == nullptr)
        co_return fail(Code::not_found, "VM {} or its host is gone from the inventory", vm->name);
    BALLAST_CO_TRY(const auto params, parse_as<VmMigrateParams>(run->params(), ""));
    auto checks = migration::judge_move(*now, *from, *to, find_pair(*snapshot, from->id, to->id), *snapshot,
                                        {.now = run->services().clock->now(),
                                         .evidence_age = run->services().settings.evidence_age,
                                         .knobs = params.knobs});
    std::erase_if(checks, [](const PairCheck& check) { return !check.name.starts_with("disk:"); });
    BALLAST_CO_CHECK(migration::verdict_of(checks));
    co_return co_await note_what_is_not_there(run, *now, to->id);
}

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

Task<> remove_half_copies(RunPtr run) {
    const auto row = run->snapshot()->migrations.find_ptr(run->id());
    if (!row || row->knobs.copy_disks == DiskCopy::none) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await run->services().observer->observe(row->vm, run->id()));
    const auto vm = run->snapshot()->vms.find_ptr(row->vm);
    if (!vm || !came_to_nothing(*vm, *row)) co_return Result<void>{};
    for (const DiskSpec& disk : vm->spec.disks) {
        if (!run->is_done(absence_of(disk))) continue;
        const Result<void> removed = co_await remove_half_copy(run, row->to, disk);
        if (!removed)
            spdlog::warn("job={} vm={} the half copy {} stays: {}", run->id().str(), row->vm.str(), disk.path,
                         removed.error().chain());
    }
    co_return Result<void>{};
}

}  // namespace ballast::jobs
