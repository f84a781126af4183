// image.import and image.delete. An image is usable only when its row says `ready`, which is written after every byte
// is on the host: the file names hold the image's id, so a half-written file is never found under a name that anything
// uses.
#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/placing.h"
#include "daemon/jobs/kinds/removal.h"
#include "daemon/jobs/kinds/upload.h"
#include "daemon/jobs/params.h"
#include "storage/resolve.h"

namespace ballast::jobs {
namespace {

/// One file of the image: what is uploaded, and under which name it lies in the pool.
struct Part {
    std::string role;  ///< disk, kernel, initrd
    std::string file;  ///< in the upload folder
    std::string name;  ///< in the pool
    Bytes size;
};

struct Plan {
    Image image;
    std::vector<Part> parts;
};

Json to_memo(const Plan& plan) {
    Json parts = Json::array();
    for (const auto& part : plan.parts)
        parts.push_back(
            Json{{"role", part.role}, {"file", part.file}, {"name", part.name}, {"size", part.size.count()}});
    return Json{{"image", plan.image.id.str()}, {"parts", std::move(parts)}};
}

Result<Plan> from_memo(const Snapshot& snapshot, const std::string& text) {
    BALLAST_TRY(const Json memo, parse_json(text));
    Plan plan;
    if (!memo.is_object() || !memo.contains("parts")) return plan;
    plan.image.id = ImageId(memo.value("image", ""));
    if (const Image* image = snapshot.images.find(plan.image.id); image != nullptr) plan.image = *image;
    for (const auto& part : memo.at("parts"))
        plan.parts.push_back({.role = part.value("role", ""),
                              .file = part.value("file", ""),
                              .name = part.value("name", ""),
                              .size = Bytes(part.value("size", std::int64_t{0}))});
    return plan;
}

Result<Part> plan_part(const RunPtr& run, std::string role, const std::string& file, const std::string& name) {
    BALLAST_TRY(const auto path, upload_path(run->services().settings.upload_folder, file));
    BALLAST_TRY(const auto local, look_at_file(path));
    return Part{.role = std::move(role), .file = file, .name = name, .size = local.size};
}

/// Inspects the disk file and fills in what the image is.
Result<void> plan_disk(const RunPtr& run, const ImageImportParams& params, Plan& plan, const std::string& stem) {
    if (params.disk_file.empty()) return {};
    BALLAST_TRY(const auto path, upload_path(run->services().settings.upload_folder, params.disk_file));
    BALLAST_TRY(const auto local, look_at_file(path));
    BALLAST_TRY(const auto inspected, storage::inspect_image(local.head, local.size));
    plan.image.format = inspected.format == storage::ImageFormat::qcow2 ? "qcow2" : "raw";
    plan.image.capacity = inspected.virtual_size;
    plan.image.size = local.size;
    plan.parts.push_back(
        {.role = "disk", .file = params.disk_file, .name = stem + "." + plan.image.format, .size = local.size});
    return {};
}

Result<Plan> make_plan(const RunPtr& run, const ImageImportParams& params) {
    BALLAST_CHECK(check_name("image", params.name));
    Plan plan;
    plan.image.id = ImageId(run->services().ids->uuid());
    plan.image.name = params.name;
    plan.image.pool = params.pool.empty() ? run->services().settings.default_pool : params.pool;
    plan.image.boot.cmdline = params.cmdline;
    const std::string stem = fmt::format("{}-{}", params.name, plan.image.id.str().substr(0, 8));
    BALLAST_CHECK(plan_disk(run, params, plan, stem));
    if (!params.kernel_file.empty()) {
        BALLAST_TRY(plan.parts.emplace_back(), plan_part(run, "kernel", params.kernel_file, stem + ".kernel"));
    }
    if (!params.initrd_file.empty()) {
        BALLAST_TRY(plan.parts.emplace_back(), plan_part(run, "initrd", params.initrd_file, stem + ".initrd"));
    }
    if (plan.parts.empty())
        return fail(Code::invalid_argument, "image {} has neither a disk nor a kernel; upload a file first",
                    params.name);
    Bytes need;
    for (const auto& part : plan.parts) need += part.size;
    BALLAST_TRY(plan.image.host, storage::choose_host(*run->snapshot(), plan.image.pool, params.host, need));
    return plan;
}

Result<void> put_plan(store::Transaction& transaction, const JobId& job, const Plan& plan) {
    const Image* taken =
        transaction.snapshot().images.find_if([&](const Image& image) { return image.name == plan.image.name; });
    if (taken != nullptr)
        return fail(Code::already_exists, "an image named '{}' exists already; choose another name or delete it",
                    plan.image.name);
    BALLAST_CHECK(keep_memo(transaction, job, dump(to_memo(plan))));
    Image image = plan.image;
    image.created = transaction.now();
    const std::string message = fmt::format("image {} is being imported into pool {}", image.name, image.pool);
    transaction.put(std::move(image), {"image.creating", message});
    return {};
}

struct Uploaded {
    std::string path;
    std::string sha256;
};

/// The pool had the room when the host was chosen, and somebody else has filled it since.
Error no_room(const Part& part, const std::string& pool, const std::string& where) {
    return {Code::resource_exhausted,
            fmt::format("pool '{}' on {} filled up before the {} of {} was in it; free some room there, or name "
                        "another pool",
                        pool, where, part.role, part.size)};
}

/// Fills one volume. It is made anew each time, so a retry after a crash begins from the first byte.
Task<Uploaded> upload_part(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, std::string pool, std::string where,
                           Part part) {
    const auto uploaded = std::make_shared<Uploaded>();
    const std::string folder = run->services().settings.upload_folder;
    const Act act = [driver, pool, part, folder, uploaded]() -> Task<> {
        BALLAST_CO_TRY(const auto path, upload_path(folder, part.file));
        BALLAST_CO_TRY(const HashingSource source, HashingSource::open(path));
        BALLAST_CO_CHECK(co_await driver->storage().delete_volume(pool, part.name));
        BALLAST_CO_CHECK(co_await driver->storage().create_volume({.pool = pool,
                                                                   .name = part.name,
                                                                   .format = "raw",
                                                                   .capacity = part.size,
                                                                   .backing_path = {},
                                                                   .backing_format = {}}));
        BALLAST_CO_CHECK(co_await driver->storage().upload(pool, part.name, part.size, source.source()));
        uploaded->sha256 = source.sha256();
        co_return Result<void>{};
    };
    const Result<void> stepped = co_await run->step("upload:" + part.role, act, repeatable());
    if (!stepped && stepped.error().code() == Code::resource_exhausted)
        co_return std::unexpected(no_room(part, pool, where).caused_by(stepped.error()));
    BALLAST_CO_CHECK(stepped);
    BALLAST_CO_CHECK(co_await driver->storage().refresh(pool));
    BALLAST_CO_TRY(const auto view, co_await driver->storage().read_volume(pool, part.name));
    uploaded->path = view.path;
    co_return *uploaded;
}

void fill_in(Image& image, const std::string& role, const Uploaded& uploaded) {
    if (role == "kernel") image.boot.kernel = uploaded.path;
    if (role == "initrd") image.boot.initrd = uploaded.path;
    if (role != "disk") return;
    image.path = uploaded.path;
    if (!uploaded.sha256.empty()) image.sha256 = uploaded.sha256;
}

Task<Json> import(RunPtr run) {
    if (!run->is_done("plan")) {
        BALLAST_CO_TRY(const auto params, parse_as<ImageImportParams>(run->params(), ""));
        BALLAST_CO_TRY(const auto plan, make_plan(run, params));
        BALLAST_CO_CHECK(co_await run->done("plan", {}, [run, plan](store::Transaction& transaction) {
            return put_plan(transaction, run->id(), plan);
        }));
    }
    BALLAST_CO_TRY(const auto plan, from_memo(*run->snapshot(), run->row()->memo.text));
    BALLAST_CO_TRY(const auto driver, co_await run->host(plan.image.host));
    const std::string where = host_name(*run->snapshot(), plan.image.host);
    Image image = plan.image;
    int number = 0;
    for (const auto& part : plan.parts) {
        BALLAST_CO_CHECK(go_on(*run));
        run->report(100 * number++ / static_cast<int>(plan.parts.size()),
                    fmt::format("uploading the {} ({})", part.role, part.size));
        BALLAST_CO_TRY(const auto uploaded, co_await upload_part(run, driver, image.pool, where, part));
        fill_in(image, part.role, uploaded);
    }
    image.state = VolumeState::ready;
    BALLAST_CO_CHECK(co_await run->done("finish", {}, [image](store::Transaction& transaction) -> Result<void> {
        transaction.put(image, {"image.imported", fmt::format("image {} is ready", image.name)});
        return {};
    }));
    co_return Json{{"image", image.id.str()}, {"name", image.name}};
}

/// The files are the job's from the moment it was asked for, also when it failed before it had a plan.
void remove_uploads(const RunPtr& run) {
    const auto params = parse_as<ImageImportParams>(run->params(), "");
    if (!params) return;
    for (const auto& file : {params->disk_file, params->kernel_file, params->initrd_file}) {
        std::error_code ignored;
        if (const auto path = upload_path(run->services().settings.upload_folder, file))
            std::filesystem::remove(*path, ignored);
    }
}

Task<> undo_import(RunPtr run) {
    BALLAST_CO_TRY(const auto plan, from_memo(*run->snapshot(), run->row()->memo.text));
    const bool planned = run->snapshot()->images.find(plan.image.id) != nullptr;
    if (planned) {
        BALLAST_CO_TRY(const auto driver, co_await wait_for_host_to_undo(run, plan.image.host));
        for (const auto& part : plan.parts)
            BALLAST_CO_CHECK(co_await driver->storage().delete_volume(plan.image.pool, part.name));
    }
    remove_uploads(run);
    co_return co_await run->done("undo", {}, [id = plan.image.id](store::Transaction& transaction) -> Result<void> {
        if (transaction.snapshot().images.find(id) != nullptr)
            transaction.erase(id, {"image.import_failed", "the import was taken back"});
        return {};
    });
}

}  // namespace

Task<Json> import_image(RunPtr run) {
    Result<Json> made = fail(Code::internal, "{}", undo_reason(*run));
    if (!run->is_intended("undo")) {
        made = co_await import(run);
        if (made) {
            remove_uploads(run);
            co_return made;
        }
        BALLAST_CO_CHECK(co_await run->intend("undo", made.error().chain()));
    }
    if (!run->is_done("undo")) co_await repeat_until_done(run, [run]() { return undo_import(run); });
    co_return made;
}

namespace {

Result<void> mark_deleting(store::Transaction& transaction, const ImageId& id) {
    const Image* found = transaction.snapshot().images.find(id);
    if (found == nullptr) return fail(Code::not_found, "image {} is gone", id);
    const Volume* child =
        transaction.snapshot().volumes.find_if([&](const Volume& volume) { return volume.image == id; });
    if (child != nullptr)
        return fail(Code::failed_precondition, "image {} is the backing file of volume {}; delete that first",
                    found->name, child->name);
    Image image = *found;
    image.state = VolumeState::deleting;
    transaction.put(std::move(image), {"image.deleting", "the image is being deleted"});
    return {};
}

std::vector<std::string> paths_of(const Image& image) {
    std::vector<std::string> paths;
    for (const auto& path : {image.path, image.boot.kernel, image.boot.initrd})
        if (!path.empty()) paths.push_back(path);
    return paths;
}

}  // namespace

Task<Json> delete_image(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<DeleteParams>(run->params(), ""));
    const ImageId id(params.id);
    const auto image = run->snapshot()->images.find_ptr(id);
    if (!image) co_return Json{{"removed", Json::array()}};
    BALLAST_CO_TRY(const auto driver, co_await run->host(image->host));
    if (!run->is_done("plan")) {
        for (const auto& path : paths_of(*image))
            BALLAST_CO_CHECK(co_await check_removable(run, image->pool, path, {}));
        BALLAST_CO_CHECK(co_await run->done(
            "plan", {}, [id](store::Transaction& transaction) { return mark_deleting(transaction, id); }));
    }
    for (const auto& path : paths_of(*image)) {
        const std::string name = path.substr(path.rfind('/') + 1);
        const Act act = [driver, pool = image->pool, name]() { return driver->storage().delete_volume(pool, name); };
        BALLAST_CO_CHECK(co_await run->step("volume:" + name, act, repeatable()));
    }
    BALLAST_CO_CHECK(co_await run->done("forget", {}, [id](store::Transaction& transaction) -> Result<void> {
        if (transaction.snapshot().images.find(id) != nullptr)
            transaction.erase(id, {"image.deleted", "the image is deleted"});
        return {};
    }));
    co_return Json{{"removed", paths_of(*image)}};
}

}  // namespace ballast::jobs
