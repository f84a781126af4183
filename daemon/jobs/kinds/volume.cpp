// volume.create and volume.delete.
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/placing.h"
#include "daemon/jobs/kinds/removal.h"
#include "daemon/jobs/params.h"
#include "storage/resolve.h"

namespace ballast::jobs {
namespace {

Result<Volume> plan_volume(const Snapshot& snapshot, const VolumeCreateParams& params, const std::string& default_pool,
                           IdSource& ids) {
    BALLAST_CHECK(check_name("volume", params.name));
    if (params.format != "qcow2" && params.format != "raw")
        return fail(Code::invalid_argument, "format: unknown value '{}'; use qcow2 or raw", params.format);
    if (params.capacity < mebibytes(1))
        return fail(Code::invalid_argument, "capacity: {} is below the smallest volume of 1 MiB", params.capacity);
    const std::string pool = params.pool.empty() ? default_pool : params.pool;
    const Bytes need = params.format == "raw" ? params.capacity : Bytes(0);  // qcow2 grows as it is written
    BALLAST_TRY(const HostId host, storage::choose_host(snapshot, pool, params.host, need));
    Volume volume{.id = VolumeId(ids.uuid()),
                  .name = params.name,
                  .pool = pool,
                  .host = host,
                  .path = {},
                  .format = params.format,
                  .capacity = params.capacity,
                  .image = {},
                  .vm = {},
                  .state = VolumeState::creating,
                  .created = {},
                  .revision = 0};
    return volume;
}

Result<void> put_volume(store::Transaction& transaction, const JobId& job, Volume volume) {
    const Volume* taken = transaction.snapshot().volumes.find_if(
        [&](const Volume& row) { return row.pool == volume.pool && row.name == volume.name; });
    if (taken != nullptr)
        return fail(Code::already_exists, "pool '{}' has a volume named '{}' already", volume.pool, volume.name);
    BALLAST_CHECK(keep_memo(transaction, job, dump(Json{{"volume", volume.id.str()}})));
    volume.created = transaction.now();
    const std::string message = fmt::format("volume {} is being made", volume.name);
    transaction.put(std::move(volume), {"volume.creating", message});
    return {};
}

std::shared_ptr<const Volume> planned(const RunPtr& run) {
    const auto memo = parse_json(run->row()->memo.text);
    if (!memo || !memo->is_object()) return nullptr;
    return run->snapshot()->volumes.find_ptr(VolumeId(memo->value("volume", "")));
}

/// An absent volume, or refused: a file of that name that is not ours must not be overwritten.
Task<> refuse_foreign(std::shared_ptr<drivers::HostDriver> driver, Volume volume) {
    const auto there = co_await driver->storage().read_volume(volume.pool, volume.name);
    if (there)
        co_return fail(Code::already_exists,
                       "pool '{}' holds a file named '{}' that Ballast did not make; nothing was overwritten",
                       volume.pool, volume.name);
    if (there.error().code() == Code::not_found) co_return Result<void>{};
    co_return std::unexpected(there.error());
}

Task<Json> make(RunPtr run) {
    if (!run->is_done("plan")) {
        BALLAST_CO_TRY(const auto params, parse_as<VolumeCreateParams>(run->params(), ""));
        BALLAST_CO_TRY(const Volume volume, plan_volume(*run->snapshot(), params, run->services().settings.default_pool,
                                                        *run->services().ids));
        BALLAST_CO_TRY(const auto driver, co_await run->host(volume.host));
        BALLAST_CO_CHECK(co_await refuse_foreign(driver, volume));
        BALLAST_CO_CHECK(co_await run->done("plan", {}, [run, volume](store::Transaction& transaction) {
            return put_volume(transaction, run->id(), volume);
        }));
    }
    const auto volume = planned(run);
    if (!volume) co_return fail(Code::internal, "the volume's row is gone");
    BALLAST_CO_TRY(const auto driver, co_await run->host(volume->host));
    const drivers::NewVolume wanted{.pool = volume->pool,
                                    .name = volume->name,
                                    .format = volume->format,
                                    .capacity = volume->capacity,
                                    .backing_path = {},
                                    .backing_format = {}};
    const Act act = [driver, wanted]() -> Task<> {
        BALLAST_CO_CHECK(co_await driver->storage().delete_volume(wanted.pool, wanted.name));
        BALLAST_CO_CHECK(co_await driver->storage().create_volume(wanted));
        co_return Result<void>{};
    };
    BALLAST_CO_CHECK(co_await run->step("volume:" + volume->name, act, repeatable()));
    BALLAST_CO_TRY(const auto view, co_await driver->storage().read_volume(volume->pool, volume->name));
    Volume ready = *volume;
    ready.path = view.path;
    ready.state = VolumeState::ready;
    BALLAST_CO_CHECK(co_await run->done("finish", {}, [ready](store::Transaction& transaction) -> Result<void> {
        transaction.put(ready, {"volume.created", fmt::format("volume {} is ready", ready.name)});
        return {};
    }));
    co_return Json{{"volume", ready.id.str()}, {"path", ready.path}};
}

Task<> undo_create(RunPtr run) {
    const auto volume = planned(run);
    if (volume) {
        BALLAST_CO_TRY(const auto driver, co_await wait_for_host_to_undo(run, volume->host));
        BALLAST_CO_CHECK(co_await driver->storage().delete_volume(volume->pool, volume->name));
    }
    co_return co_await run->done("undo", {}, [volume](store::Transaction& transaction) -> Result<void> {
        if (volume && transaction.snapshot().volumes.find(volume->id) != nullptr)
            transaction.erase(volume->id, {"volume.create_failed", "the volume was taken back"});
        return {};
    });
}

}  // namespace

Task<Json> create_volume(RunPtr run) {
    Result<Json> made = fail(Code::internal, "{}", undo_reason(*run));
    if (!run->is_intended("undo")) {
        made = co_await make(run);
        if (made) co_return made;
        BALLAST_CO_CHECK(co_await run->intend("undo", made.error().chain()));
    }
    if (!run->is_done("undo")) co_await repeat_until_done(run, [run]() { return undo_create(run); });
    co_return made;
}

Task<Json> delete_volume(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<DeleteParams>(run->params(), ""));
    const VolumeId id(params.id);
    const auto volume = run->snapshot()->volumes.find_ptr(id);
    if (!volume) co_return Json{{"removed", Json::array()}};
    if (!volume->vm.empty() && run->snapshot()->vms.find(volume->vm) != nullptr)
        co_return fail(Code::failed_precondition, "volume {} belongs to VM {}; delete the VM instead", volume->name,
                       run->snapshot()->vms.find(volume->vm)->name);
    BALLAST_CO_TRY(const auto driver, co_await run->host(volume->host));
    if (!run->is_intended("delete")) BALLAST_CO_CHECK(co_await check_removable(run, volume->pool, volume->path, {}));
    const Act act = [driver, volume]() { return driver->storage().delete_volume(volume->pool, volume->name); };
    BALLAST_CO_CHECK(co_await run->step("delete", act, repeatable()));
    BALLAST_CO_CHECK(co_await run->done("forget", {}, [volume](store::Transaction& transaction) -> Result<void> {
        if (transaction.snapshot().volumes.find(volume->id) != nullptr)
            transaction.erase(volume->id, {"volume.deleted", fmt::format("volume {} is deleted", volume->name)});
        return {};
    }));
    co_return Json{{"removed", Json::array({volume->path})}};
}

}  // namespace ballast::jobs
