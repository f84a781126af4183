// Pools, volumes, images, and the uploads that images are made from.
#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "daemon/api/checks.h"
#include "daemon/api/list.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/params.h"

namespace ballast::api {
namespace {

const ListOf pool_list{"pools", {"name", "host", "type", "active"}};
const ListOf volume_list{"volumes", {"name", "pool", "host", "vm", "image", "state"}};
const ListOf image_list{"images", {"name", "pool", "host", "state"}};

Task<Response> list_pools(Request request, ContextPtr context) {
    return list_rows<Pool>(std::move(request), std::move(context), &pool_list, &Snapshot::pools);
}
Task<Response> list_volumes(Request request, ContextPtr context) {
    return list_rows<Volume>(std::move(request), std::move(context), &volume_list, &Snapshot::volumes);
}
Task<Response> list_images(Request request, ContextPtr context) {
    return list_rows<Image>(std::move(request), std::move(context), &image_list, &Snapshot::images);
}

/// What the pool holds just now, whoever made it: asked from the host, never kept.
Task<Response> list_pool_volumes(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    const std::string pool(request.param("pool"));
    if (find_pool(*snapshot, host->id, pool) == nullptr)
        co_return fail(Code::not_found, "host {} has no pool '{}'; see `ballast pool list`", host->name, pool);
    BALLAST_CO_TRY(const auto driver, context->hosts->reachable(host->id));
    BALLAST_CO_TRY(const auto views, co_await driver->storage().list_volumes(pool));
    std::vector<Text> items;
    for (const auto& view : views) {
        const Volume* row = snapshot->volumes.find_if([&](const Volume& volume) { return volume.path == view.path; });
        items.push_back(std::make_shared<const std::string>(
            to_json_text(PoolVolume{.name = view.name,
                                    .path = view.path,
                                    .format = view.format,
                                    .capacity = view.capacity,
                                    .allocation = view.allocation,
                                    .backing_path = view.backing_path,
                                    .volume = row != nullptr ? row->id : VolumeId()})));
    }
    co_return page_response(items, "");
}

Task<Response> get_pool(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    const auto pool = snapshot->pools.find_ptr(pool_id(host->id, request.param("pool")));
    if (!pool)
        co_return fail(Code::not_found, "host {} has no pool '{}'; see `ballast pool list`", host->name,
                       request.param("pool"));
    co_return row_response(request, context, pool);
}

Result<std::shared_ptr<const Volume>> find_volume(const Snapshot& snapshot, std::string_view id) {
    if (auto volume = snapshot.volumes.find_ptr(VolumeId(std::string(id)))) return volume;
    const auto named = snapshot.volumes.select([&](const Volume& volume) { return volume.name == id; });
    if (named.size() == 1) return named.front();
    if (named.empty()) return fail(Code::not_found, "no volume is named '{}'; see `ballast volume list`", id);
    return fail(Code::conflict, "{} volumes are named '{}'; use the id", named.size(), id);
}

Task<Response> get_volume(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto volume, find_volume(*snapshot, request.param("id")));
    co_return row_response(request, context, volume);
}

/// A host that was named must be there and managed; else the job chooses one.
Result<void> check_host_choice(const Snapshot& snapshot, const std::string& name) {
    if (name.empty()) return {};
    BALLAST_TRY(const auto host, find_host(snapshot, name));
    return check_managed(*host);
}

Task<Response> create_volume(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_body<jobs::VolumeCreateParams>(request, context));
    BALLAST_CO_CHECK(check_name("volume", params.name));
    BALLAST_CO_CHECK(check_host_choice(*context->store->snapshot(), params.host));
    if (params.format != "qcow2" && params.format != "raw")
        co_return fail(Code::invalid_argument, "format: unknown value '{}'; use qcow2 or raw", params.format);
    if (params.capacity.count() <= 0)
        co_return fail(Code::invalid_argument, "capacity_bytes: {} is not above 0", params.capacity.count());
    jobs::JobRequest job{
        .kind = "volume.create", .vm = {}, .host = {}, .subject = params.name, .params = {to_json_text(params)}};
    auto answer = co_await submit_job(std::move(request), context, std::move(job));
    co_return answer;
}

Task<Response> delete_volume(Request request, ContextPtr context) {
    auto work = [request, context](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto volume, find_volume(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "volume " + volume->name, volume)) return *std::move(stale);
        BALLAST_TRY(const auto job,
                    jobs::submit(transaction, {.kind = "volume.delete",
                                               .vm = {},
                                               .host = volume->host,
                                               .subject = volume->name,
                                               .params = {to_json_text(jobs::DeleteParams{volume->id.str()})}}));
        return job_response(transaction, context, job.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> get_image(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto image, find_image(*snapshot, request.param("id")));
    co_return row_response(request, context, image);
}

/// A file that was uploaded under that name. Errors: invalid_argument, not_found.
Result<void> check_upload(const Context& context, std::string_view what, const std::string& name) {
    if (name.empty()) return {};
    BALLAST_CHECK(check_name(what, name));
    std::error_code ignored;
    if (std::filesystem::is_regular_file(context.upload_folder + "/" + name, ignored)) return {};
    return fail(Code::not_found, "{}: no upload is named '{}'; send it to /api/v1/uploads/{} first", what, name, name);
}

Task<Response> import_image(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_body<jobs::ImageImportParams>(request, context));
    BALLAST_CO_CHECK(check_name("image", params.name));
    BALLAST_CO_CHECK(check_host_choice(*context->store->snapshot(), params.host));
    if (params.disk_file.empty() && params.kernel_file.empty())
        co_return fail(Code::invalid_argument, "an image needs `disk_file` or `kernel_file`: the name of an upload");
    BALLAST_CO_CHECK(check_upload(*context, "disk_file", params.disk_file));
    BALLAST_CO_CHECK(check_upload(*context, "kernel_file", params.kernel_file));
    BALLAST_CO_CHECK(check_upload(*context, "initrd_file", params.initrd_file));
    auto work = [context, params](store::Transaction& transaction) -> Result<Response> {
        if (find_image(transaction.snapshot(), params.name))
            return fail(Code::already_exists, "an image named '{}' exists already; choose another name", params.name);
        BALLAST_TRY(const auto job, jobs::submit(transaction, {.kind = "image.import",
                                                               .vm = {},
                                                               .host = {},
                                                               .subject = params.name,
                                                               .params = {to_json_text(params)}}));
        return job_response(transaction, context, job.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> delete_image(Request request, ContextPtr context) {
    auto work = [request, context](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto image, find_image(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "image " + image->name, image)) return *std::move(stale);
        BALLAST_TRY(const auto job,
                    jobs::submit(transaction, {.kind = "image.delete",
                                               .vm = {},
                                               .host = image->host,
                                               .subject = image->name,
                                               .params = {to_json_text(jobs::DeleteParams{image->id.str()})}}));
        return job_response(transaction, context, job.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

/// The import that reads this upload and has not ended, or nullptr.
const Job* find_reader(const Snapshot& snapshot, const std::string& name) {
    return snapshot.jobs.find_if([&](const Job& job) {
        if (job.kind != "image.import" || is_finished(job.state)) return false;
        const auto params = parse_as<jobs::ImageImportParams>(job.params.text, "");
        return params && (params->disk_file == name || params->kernel_file == name || params->initrd_file == name);
    });
}

Result<void> check_not_read(const Snapshot& snapshot, const std::string& name) {
    const Job* reader = find_reader(snapshot, name);
    if (reader == nullptr) return {};
    return fail(Code::failed_precondition,
                "the upload '{}' is being imported by job {}; wait for its end, or choose another name", name,
                reader->id);
}

/// Before its bytes are taken: a file that an import reads is not replaced.
Result<void> check_may_upload(const Request& request, const Context& context) {
    const std::string name(request.params.contains("name") ? request.param("name") : request.query_or("name", ""));
    BALLAST_CHECK(check_name("upload", name));
    return check_not_read(*context.store->snapshot(), name);
}

/// The bytes are there already. The file gets its name inside the transaction: a repeated key is answered without it,
/// a key of another upload is refused, and both leave what was there.
Task<Response> put_upload(Request request, ContextPtr context) {
    const std::string name = std::filesystem::path(request.file->path).filename().string();
    auto work = [name, file = *request.file](store::Transaction& transaction) -> Result<Response> {
        BALLAST_CHECK(check_not_read(transaction.snapshot(), name));
        BALLAST_CHECK(file.publish());
        return json_response(201, to_json_text(UploadView{.name = name, .size = file.size, .sha256 = file.sha256}));
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> list_uploads(Request, ContextPtr context) {
    std::vector<UploadView> views;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(context->upload_folder, ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') || !entry.is_regular_file(ignored)) continue;
        views.push_back(
            {.name = name, .size = Bytes(static_cast<std::int64_t>(entry.file_size(ignored))), .sha256 = {}});
    }
    std::ranges::sort(views, {}, &UploadView::name);
    std::vector<Text> items;
    for (const auto& view : views) items.push_back(std::make_shared<const std::string>(to_json_text(view)));
    co_return page_response(items, "");
}

Task<Response> delete_upload(Request request, ContextPtr context) {
    const std::string name(request.param("name"));
    BALLAST_CO_CHECK(check_upload(*context, "upload", name));
    auto work = [name](store::Transaction& transaction) -> Result<Response> {
        BALLAST_CHECK(check_not_read(transaction.snapshot(), name));
        return no_content();
    };
    BALLAST_CO_TRY(auto answer, co_await commit(std::move(request), context, std::move(work)));
    std::error_code ignored;
    std::filesystem::remove(context->upload_folder + "/" + name, ignored);
    co_return answer;
}

Route upload_route(Verb verb, std::string path, std::string id) {
    Route route{.verb = verb,
                .path = std::move(path),
                .right = Right::operator_,
                .id = std::move(id),
                .tag = "images",
                .summary = "Upload a file that an image is then made from; a file of that name is replaced.",
                .takes = Takes::file,
                .answers = {{201, schema<UploadView>}},
                .failures = {Code::resource_exhausted},
                .handler = put_upload};
    route.before_body = check_may_upload;
    if (verb == Verb::post) route.query = {{"name", "string", "What to call it in the upload folder."}};
    return route;
}

Route list_route(std::string path, std::string id, std::string tag, std::string summary, const ListOf& list,
                 SchemaMaker answer, Handler handler) {
    return {.path = std::move(path),
            .right = Right::viewer,
            .id = std::move(id),
            .tag = std::move(tag),
            .summary = std::move(summary),
            .query = list_parameters(list),
            .answers = {{200, answer}},
            .handler = std::move(handler)};
}

Route row_route(std::string path, std::string id, std::string tag, std::string summary, SchemaMaker answer,
                Handler handler) {
    return {.path = std::move(path),
            .right = Right::viewer,
            .id = std::move(id),
            .tag = std::move(tag),
            .summary = std::move(summary),
            .answers = {{200, answer}},
            .tagged = true,
            .handler = std::move(handler)};
}

Route delete_route(std::string path, std::string id, std::string tag, std::string summary, Handler handler) {
    return {.verb = Verb::delete_,
            .path = std::move(path),
            .right = Right::operator_,
            .id = std::move(id),
            .tag = std::move(tag),
            .summary = std::move(summary),
            .answers = {{202, schema<Job>}},
            .tagged = true,
            .handler = std::move(handler)};
}

}  // namespace

std::vector<Route> storage_routes() {
    return {
        list_route("/api/v1/pools", "pool_list", "storage", "Storage pools, one row per host.", pool_list,
                   page_schema<Pool>, list_pools),
        row_route("/api/v1/hosts/{id}/pools/{pool}", "pool_get", "storage", "One pool on one host.", schema<Pool>,
                  get_pool),
        {.path = "/api/v1/hosts/{id}/pools/{pool}/volumes",
         .right = Right::viewer,
         .id = "pool_volumes",
         .tag = "storage",
         .summary = "What the pool holds now, whoever made it.",
         .answers = {{200, page_schema<PoolVolume>}},
         .failures = {Code::unavailable},
         .handler = list_pool_volumes},
        list_route("/api/v1/volumes", "volume_list", "storage", "Volumes that Ballast made.", volume_list,
                   page_schema<Volume>, list_volumes),
        row_route("/api/v1/volumes/{id}", "volume_get", "storage", "One volume.", schema<Volume>, get_volume),
        {.verb = Verb::post,
         .path = "/api/v1/volumes",
         .right = Right::operator_,
         .id = "volume_create",
         .tag = "storage",
         .summary = "Make an empty volume.",
         .body = schema<jobs::VolumeCreateParams>,
         .takes = Takes::json,
         .answers = {{202, schema<Job>}},
         .failures = {Code::not_found, Code::failed_precondition},
         .handler = create_volume},
        delete_route("/api/v1/volumes/{id}", "volume_delete", "storage", "Delete a volume that nothing uses.",
                     delete_volume),
        list_route("/api/v1/images", "image_list", "images", "Images.", image_list, page_schema<Image>, list_images),
        row_route("/api/v1/images/{id}", "image_get", "images", "One image.", schema<Image>, get_image),
        {.verb = Verb::post,
         .path = "/api/v1/images",
         .right = Right::operator_,
         .id = "image_import",
         .tag = "images",
         .summary = "Make an image of uploads.",
         .body = schema<jobs::ImageImportParams>,
         .takes = Takes::json,
         .answers = {{202, schema<Job>}},
         .failures = {Code::not_found, Code::already_exists, Code::failed_precondition},
         .handler = import_image},
        delete_route("/api/v1/images/{id}", "image_delete", "images", "Delete an image that no volume is a child of.",
                     delete_image),
        {.path = "/api/v1/uploads",
         .right = Right::operator_,
         .id = "upload_list",
         .tag = "images",
         .summary = "Files that wait to be imported.",
         .answers = {{200, page_schema<UploadView>}},
         .handler = list_uploads},
        upload_route(Verb::put, "/api/v1/uploads/{name}", "upload_put"),
        upload_route(Verb::post, "/api/v1/uploads", "upload_post"),
        {.verb = Verb::delete_,
         .path = "/api/v1/uploads/{name}",
         .right = Right::operator_,
         .id = "upload_delete",
         .tag = "images",
         .summary = "Remove an upload.",
         .answers = {{204, nullptr}},
         .failures = {Code::failed_precondition},
         .handler = delete_upload},
    };
}

}  // namespace ballast::api
