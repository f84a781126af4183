// vm.delete: nothing goes that anything else needs (SAFETY.md 10). What is to be removed is written down first, so that
// a crash removes the rest and no more.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/leftovers.h"
#include "daemon/jobs/kinds/removal.h"
#include "daemon/jobs/params.h"

namespace ballast::jobs {
namespace {

/// A volume to be removed with the VM.
struct Doomed {
    VolumeId volume;  ///< empty: no row (a disk of an adopted VM)
    std::string pool;
    std::string name;
    std::string path;
};

std::vector<Doomed> own_volumes(const Snapshot& snapshot, const VmId& vm) {
    std::vector<Doomed> doomed;
    for (const auto& volume : snapshot.volumes.select([&](const Volume& row) { return row.vm == vm; }))
        doomed.push_back({.volume = volume->id, .pool = volume->pool, .name = volume->name, .path = volume->path});
    return doomed;
}

/// The volume behind a disk that the operator named: it must lie in a pool of the VM's host.
Result<Doomed> named_disk(const Snapshot& snapshot, const Vm& vm, const HostId& host, const std::string& target) {
    const auto disk = std::ranges::find(vm.spec.disks, target, &DiskSpec::target);
    if (disk == vm.spec.disks.end())
        return fail(Code::not_found, "VM {} has no disk '{}'; see `ballast vm show {}`", vm.name, target, vm.name);
    const auto slash = disk->path.rfind('/');
    const std::string folder = disk->path.substr(0, slash);
    const Pool* pool = snapshot.pools.find_if([&](const Pool& row) { return row.host == host && row.path == folder; });
    if (slash == std::string::npos || pool == nullptr)
        return fail(Code::failed_precondition,
                    "disk {} of VM {} ({}) lies in no storage pool of its host, so Ballast does not remove it", target,
                    vm.name, disk->path);
    return Doomed{.volume = {}, .pool = pool->name, .name = disk->path.substr(slash + 1), .path = disk->path};
}

Result<std::vector<Doomed>> what_goes(const Snapshot& snapshot, const Vm& vm, const HostId& host,
                                      const VmDeleteParams& params) {
    std::vector<Doomed> doomed;
    if (!params.keep_disks && vm.created_by_ballast) doomed = own_volumes(snapshot, vm.id);
    for (const auto& target : params.disks) {
        BALLAST_TRY(auto disk, named_disk(snapshot, vm, host, target));
        const bool listed = std::ranges::any_of(doomed, [&](const Doomed& other) { return other.path == disk.path; });
        if (!listed) doomed.push_back(std::move(disk));
    }
    return doomed;
}

Json names_of(const std::vector<Doomed>& doomed) {
    Json names = Json::array();
    for (const auto& volume : doomed)
        names.push_back(
            Json{{"volume", volume.volume.str()}, {"pool", volume.pool}, {"name", volume.name}, {"path", volume.path}});
    return names;
}

Result<std::vector<Doomed>> from_memo(const std::string& text) {
    BALLAST_TRY(const Json memo, parse_json(text));
    std::vector<Doomed> doomed;
    for (const auto& entry : memo.at("volumes"))
        doomed.push_back({.volume = VolumeId(entry.value("volume", "")),
                          .pool = entry.value("pool", ""),
                          .name = entry.value("name", ""),
                          .path = entry.value("path", "")});
    return doomed;
}

Result<void> mark_deleting(store::Transaction& transaction, const RunPtr& run, const std::vector<Doomed>& doomed) {
    BALLAST_CHECK(keep_memo(transaction, run->id(), dump(Json{{"volumes", names_of(doomed)}})));
    BALLAST_TRY(Vm vm, vm_of(transaction, run->vm()));
    set_state(transaction, std::move(vm), VmState::deleting,
              fmt::format("being deleted with {} volume(s)", doomed.size()), "vm.deleting");
    return {};
}

/// Everything that could forbid it, asked before anything is done.
Task<> check_and_plan(RunPtr run, HostId host, std::shared_ptr<drivers::HostDriver> driver) {
    BALLAST_CO_TRY(const auto params, parse_as<VmDeleteParams>(run->params(), ""));
    const auto snapshot = run->snapshot();
    const auto vm = snapshot->vms.find_ptr(run->vm());
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
    if (view && is_active(view->state) && !params.force)
        co_return fail(Code::failed_precondition, "VM {} runs on {}; shut it down first, or delete it with --force",
                       vm->name, host_name(*snapshot, host));
    if (view && !view->bound_by.empty())
        co_return fail(Code::failed_precondition, "VM {} still has {} on {}; remove that first", vm->name,
                       fmt::join(view->bound_by, ", "), host_name(*snapshot, host));
    BALLAST_CO_CHECK(co_await check_leftovers(run, host));
    BALLAST_CO_TRY(const auto doomed, what_goes(*snapshot, *vm, host, params));
    for (const auto& volume : doomed)
        BALLAST_CO_CHECK(co_await check_removable(run, volume.pool, volume.path, run->vm()));
    co_return co_await run->done(
        "plan", fmt::format("{} volume(s)", doomed.size()),
        [run, doomed](store::Transaction& transaction) { return mark_deleting(transaction, run, doomed); });
}

Task<> remove_volumes(RunPtr run, std::shared_ptr<drivers::HostDriver> driver) {
    BALLAST_CO_TRY(const auto doomed, from_memo(run->row()->memo.text));
    for (const auto& volume : doomed) {
        const Act act = [driver, volume]() { return driver->storage().delete_volume(volume.pool, volume.name); };
        BALLAST_CO_CHECK(co_await run->step("volume:" + volume.name, act, repeatable()));
    }
    co_return Result<void>{};
}

Result<void> forget(store::Transaction& transaction, const VmId& vm, const std::vector<Doomed>& doomed) {
    for (const auto& volume : doomed)
        if (transaction.snapshot().volumes.find(volume.volume) != nullptr)
            transaction.erase(volume.volume, {"volume.removed", fmt::format("volume {} is removed", volume.name)});
    for (const auto& kept : transaction.snapshot().volumes.select([&](const Volume& row) { return row.vm == vm; })) {
        Volume volume = *kept;
        volume.vm = {};
        transaction.put(std::move(volume), {"volume.kept", fmt::format("volume {} is kept", kept->name)});
    }
    if (const Vm* row = transaction.snapshot().vms.find(vm); row != nullptr) {
        const std::string message = fmt::format("VM {} is deleted", row->name);
        transaction.erase(vm, {"vm.deleted", message});
    }
    return {};
}

/// A VM that no host owns (missing, or released by confirm-dead): only its rows go, and what is left of it elsewhere.
Task<Json> delete_without_host(RunPtr run) {
    BALLAST_CO_CHECK(co_await check_leftovers(run, std::nullopt));
    BALLAST_CO_CHECK(co_await remove_leftovers(run, std::nullopt));
    BALLAST_CO_CHECK(co_await run->done(
        "forget", {}, [id = run->vm()](store::Transaction& transaction) { return forget(transaction, id, {}); }));
    co_return Json{{"removed", Json::array()}};
}

}  // namespace

Task<Json> delete_vm(RunPtr run) {
    const auto snapshot = run->snapshot();
    const auto vm = snapshot->vms.find_ptr(run->vm());
    if (!vm) co_return Json{{"removed", Json::array()}};  // the rows went before a restart
    if (!vm->host || snapshot->hosts.find(*vm->host) == nullptr) co_return co_await delete_without_host(run);
    const HostId host = *vm->host;
    BALLAST_CO_TRY(const auto driver, co_await run->host(host));
    if (!run->is_done("plan")) BALLAST_CO_CHECK(co_await check_and_plan(run, host, driver));
    run->report(30, "removing the definition");
    const Act undefine = [run, driver]() { return end_and_undefine(driver, run->vm()); };
    BALLAST_CO_CHECK(co_await run->step("undefine", undefine, repeatable()));
    BALLAST_CO_CHECK(co_await remove_leftovers(run, host));
    run->report(60, "removing volumes");
    BALLAST_CO_CHECK(co_await remove_volumes(run, driver));
    BALLAST_CO_TRY(const auto doomed, from_memo(run->row()->memo.text));
    BALLAST_CO_CHECK(co_await run->done("forget", {}, [id = run->vm(), doomed](store::Transaction& transaction) {
        return forget(transaction, id, doomed);
    }));
    co_return Json{{"removed", names_of(doomed)}};
}

}  // namespace ballast::jobs
