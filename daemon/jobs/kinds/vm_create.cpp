// vm.create: place and claim in one transaction, then volumes, definition, start. A failure takes everything back that
// was made; a crash goes on where the journal stopped, forwards or backwards.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/placing.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/placer.h"
#include "daemon/jobs/reservations.h"
#include "storage/resolve.h"

namespace ballast::jobs {
namespace {

void sort_by_name(std::vector<std::shared_ptr<const Volume>>& volumes) {
    std::ranges::sort(volumes, {}, [](const auto& volume) { return volume->name; });
}

/// By the VM's disks, which name them: not every volume has to be looked at.
std::vector<std::shared_ptr<const Volume>> volumes_to_make(const Snapshot& snapshot, const Vm& vm) {
    std::vector<std::shared_ptr<const Volume>> volumes;
    for (const DiskSpec& disk : vm.spec.disks)
        if (auto volume = snapshot.volumes.find_ptr(disk.volume); volume && volume->vm == vm.id)
            volumes.push_back(std::move(volume));
    sort_by_name(volumes);
    return volumes;
}

/// Every volume that is the VM's, also one that no disk names any longer: nothing may be left behind.
std::vector<std::shared_ptr<const Volume>> volumes_of(const Snapshot& snapshot, const VmId& vm) {
    auto volumes = snapshot.volumes.select([&](const Volume& volume) { return volume.vm == vm; });
    sort_by_name(volumes);
    return volumes;
}

/// Puts the resolved spec, the volumes to be and the claim, provided the host still has the room (the plan gate of
/// ARCHITECTURE.md 2).
Result<void> claim_place(store::Transaction& transaction, const JobId& job, const VmId& id,
                         const scheduler::Basis& basis, VmSpec spec) {
    const HostId& host = basis.host;
    BALLAST_TRY(Vm vm, vm_of(transaction, id));
    const scheduler::PlacementRequest request{
        .spec = spec, .vm = id, .only = {}, .exclude = {}, .for_migration = false, .from = {}};
    BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), basis, request));
    auto volumes = storage::plan_volumes(transaction.snapshot(), vm, spec, transaction.ids(), transaction.now());
    const std::string where = host_name(transaction.snapshot(), host);
    for (auto& volume : volumes) {
        volume.host = host;
        const std::string message = fmt::format("volume {} is to be made on {}", volume.name, where);
        transaction.put(std::move(volume), {"volume.creating", message});
    }
    transaction.put(scheduler::make_claim(transaction.snapshot(), host, request, job, transaction.now()),
                    {"claim.made", fmt::format("{} claims {} on {}", vm.name, spec.memory, where)});
    vm.spec = std::move(spec);
    vm.host = host;
    vm.epoch = 1;
    transaction.put(std::move(vm), {"vm.placed", fmt::format("placed on {}", where)});
    return {};
}

/// What to do where the host of a reservation takes the VM no more.
Error about_place(const Error& refusal, const Claim& place) {
    return Error(refusal.code(), fmt::format("{}; its room is reserved there as {}: create it without the reservation "
                                             "to place it anywhere",
                                             refusal.message(), place.name));
}

Task<> place(RunPtr run) {
    if (run->is_done("place")) co_return Result<void>{};
    BALLAST_CO_TRY(const auto params, parse_as<VmCreateParams>(run->params(), ""));
    const auto snapshot = run->snapshot();
    const auto placer = run->services().placer;
    BALLAST_CO_TRY(const VmSpec spec, placer->resolve(params.spec, run->services().settings.default_pool));
    scheduler::PlacementRequest request{
        .spec = spec, .vm = run->vm(), .only = {}, .exclude = {}, .for_migration = false, .from = {}};
    if (!params.host.empty()) {
        BALLAST_CO_TRY(const auto host, find_host(*snapshot, params.host));
        request.only = host->id;
    }
    const auto reserved = place_of(*snapshot, run->vm());
    if (reserved) request.only = reserved->host;
    const auto placed =
        co_await claim_best_host(run, request, params.name, "place",
                                 [run, spec](store::Transaction& transaction, const scheduler::Basis& basis) {
                                     return claim_place(transaction, run->id(), run->vm(), basis, spec);
                                 });
    if (!placed && reserved) co_return std::unexpected(about_place(placed.error(), *reserved));
    co_return placed;
}

drivers::NewVolume new_volume(const Snapshot& snapshot, const Volume& volume) {
    const Image* image = volume.image.empty() ? nullptr : snapshot.images.find(volume.image);
    return {.pool = volume.pool,
            .name = volume.name,
            .format = volume.format,
            .capacity = volume.capacity,
            .backing_path = image != nullptr ? image->path : "",
            .backing_format = image != nullptr ? image->format : ""};
}

/// The volume is there: its row says so, and the VM's disk knows its path.
Result<void> note_volume(store::Transaction& transaction, const VolumeId& id, const std::string& path) {
    const Volume* found = transaction.snapshot().volumes.find(id);
    if (found == nullptr) return fail(Code::internal, "volume {} is not in the store", id);
    Volume volume = *found;
    volume.path = path;
    volume.state = VolumeState::ready;
    BALLAST_TRY(Vm vm, vm_of(transaction, volume.vm));
    for (auto& disk : vm.spec.disks)
        if (disk.volume == id) disk.path = path;
    const std::string message = fmt::format("volume {} is ready", volume.name);
    transaction.put(std::move(volume), {"volume.created", message});
    transaction.put(std::move(vm), {"vm.disk_ready", message});
    return {};
}

/// Makes one volume. Its name is ours alone, so a half-made one from before a crash is removed first.
Task<> make_volume(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, std::shared_ptr<const Volume> volume) {
    const drivers::NewVolume wanted = new_volume(*run->snapshot(), *volume);
    const Act act = [driver, wanted]() -> Task<> {
        BALLAST_CO_CHECK(co_await driver->storage().delete_volume(wanted.pool, wanted.name));
        BALLAST_CO_CHECK(co_await driver->storage().create_volume(wanted));
        co_return Result<void>{};
    };
    BALLAST_CO_CHECK(co_await run->step("volume:" + volume->name, act, repeatable()));
    BALLAST_CO_TRY(const auto view, co_await driver->storage().read_volume(wanted.pool, wanted.name));
    co_return co_await run->commit([id = volume->id, path = view.path](store::Transaction& transaction) {
        return note_volume(transaction, id, path);
    });
}

Task<> define(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host) {
    const Act act = [run, driver, host]() -> Task<> {
        const auto snapshot = run->snapshot();
        const Vm* vm = snapshot->vms.find(run->vm());
        if (vm == nullptr) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
        co_return co_await driver->compute().define(definition_of(*snapshot, *vm, host));
    };
    co_return co_await run->step("define", act, repeatable());
}

/// Only now: a create that fails leaves the reserved room open to the next one.
Task<> use_up_reserved(RunPtr run) {
    if (!place_of(*run->snapshot(), run->vm())) co_return Result<void>{};
    co_return co_await run->commit([id = run->vm()](store::Transaction& transaction) -> Result<void> {
        use_up_place(transaction, id);
        return {};
    });
}

Task<Json> make(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmCreateParams>(run->params(), ""));
    BALLAST_CO_CHECK(go_on(*run));
    run->report(5, "choosing a host");
    BALLAST_CO_CHECK(co_await place(run));
    const auto placed = run->snapshot();
    const auto vm = placed->vms.find_ptr(run->vm());
    BALLAST_CO_TRY(const HostId host, owner_of(*vm));
    BALLAST_CO_TRY(const auto driver, co_await run->host(host));
    for (const auto& volume : volumes_to_make(*placed, *vm)) {
        BALLAST_CO_CHECK(go_on(*run));
        run->report(20, fmt::format("making volume {}", volume->name));
        BALLAST_CO_CHECK(co_await make_volume(run, driver, volume));
    }
    BALLAST_CO_CHECK(go_on(*run));
    run->report(60, "defining");
    BALLAST_CO_CHECK(co_await define(run, driver, host));
    if (params.start) {
        run->report(80, "starting");
        BALLAST_CO_CHECK(co_await start_on(run, driver, host));
    }
    BALLAST_CO_CHECK(co_await use_up_reserved(run));
    co_return Json{{"vm", run->vm().str()}, {"name", params.name}, {"host", host_name(*placed, host)}};
}

/// Removes from the inventory what the job put there.
Result<void> forget(store::Transaction& transaction, const VmId& id, const std::string& reason) {
    for (const auto& volume : volumes_of(transaction.snapshot(), id))
        transaction.erase(volume->id, {"volume.removed", fmt::format("volume {} is taken back", volume->name)});
    leave_place(transaction, id);
    if (transaction.snapshot().vms.find(id) != nullptr) transaction.erase(id, {"vm.create_failed", reason});
    return {};
}

Task<> undo(RunPtr run, std::string reason) {
    const auto snapshot = run->snapshot();
    const Vm* vm = snapshot->vms.find(run->vm());
    if (vm != nullptr && vm->host && snapshot->hosts.find(*vm->host) != nullptr) {
        BALLAST_CO_TRY(const auto driver, co_await wait_for_host_to_undo(run, *vm->host));
        BALLAST_CO_CHECK(co_await end_and_undefine(driver, run->vm()));
        for (const auto& volume : volumes_of(*snapshot, run->vm()))
            BALLAST_CO_CHECK(co_await driver->storage().delete_volume(volume->pool, volume->name));
    }
    co_return co_await run->done("undo", {}, [id = run->vm(), reason](store::Transaction& transaction) {
        return forget(transaction, id, reason);
    });
}

}  // namespace

Task<Json> create_vm(RunPtr run) {
    Result<Json> made = fail(Code::cancelled, "taken back");
    if (!run->is_intended("undo")) {
        made = co_await make(run);
        if (made) co_return made;
        BALLAST_CO_CHECK(co_await run->intend("undo", made.error().chain()));
    } else {
        made = std::unexpected(Error(Code::internal, undo_reason(*run)));
    }
    if (run->is_done("undo")) co_return made;
    run->report(90, "taking back what was made");
    co_await repeat_until_done(run, [run, reason = made.error().chain()]() { return undo(run, reason); });
    co_return made;
}

}  // namespace ballast::jobs
