// The cluster itself, its health and its numbers.
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/api/commit.h"
#include "daemon/api/memory_metrics.h"
#include "daemon/api/metrics.h"
#include "daemon/api/openapi.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/types.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/migrate/desk.h"

namespace ballast::api {
namespace {

Task<Response> get_cluster(Request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    const auto health = context->store->health();
    co_return json_response(200, to_json_text(ClusterView{.name = context->cluster_name,
                                                          .id = snapshot->cluster,
                                                          .version = context->version,
                                                          .seq = snapshot->seq,
                                                          .writable = health.writable,
                                                          .reason = health.reason,
                                                          .time = context->clock->now(),
                                                          .hosts = static_cast<int>(snapshot->hosts.size()),
                                                          .vms = static_cast<int>(snapshot->vms.size())}));
}

Task<Response> get_openapi(Request, ContextPtr context) {
    static const auto text = std::make_shared<const std::string>(openapi_text(all_routes(), context->version));
    co_return json_response(200, text);
}

/// Nothing where no migrations are done.
std::optional<std::uint64_t> queued_migrations(const Context& context) {
    if (!context.migrations) return std::nullopt;
    return context.migrations->lanes().view().queued.size();
}

Response text_response(int status, std::string text) {
    Response response = json_response(status, std::move(text));
    response.headers["content-type"] = "text/plain; charset=utf-8";
    return response;
}

Task<Response> get_healthz(Request, ContextPtr) {
    co_return text_response(200, "ok\n");
}

Task<Response> get_readyz(Request, ContextPtr context) {
    const auto health = context->store->health();
    if (health.writable) co_return text_response(200, "ready\n");
    co_return text_response(503, fmt::format("read-only: {}\n", health.reason));
}

Task<Response> get_metrics(Request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    std::string text = context->metrics->render(*snapshot, context->store->health(), context->version,
                                                context->clock->now(), queued_migrations(*context));
    if (context->memory) text += memory_metrics(*snapshot, *context->memory());
    Response response = text_response(200, std::move(text));
    response.headers["content-type"] = "text/plain; version=0.0.4; charset=utf-8";
    co_return response;
}

}  // namespace

std::vector<Route> cluster_routes() {
    return {
        {.path = "/api/v1",
         .right = Right::viewer,
         .id = "cluster_get",
         .tag = "cluster",
         .summary = "The cluster: its name, id, version and the number of the last event.",
         .answers = {{200, schema<ClusterView>}},
         .handler = get_cluster},
        {.path = "/api/v1/openapi.json",
         .right = Access::open(),
         .id = "openapi_get",
         .tag = "cluster",
         .summary = "This API as an OpenAPI 3.1 document.",
         .answers = {{200, nullptr, "application/json"}},
         .handler = get_openapi},
        {.path = "/healthz",
         .right = Access::open(),
         .id = "healthz_get",
         .tag = "health",
         .summary = "200 while the process is alive.",
         .answers = {{200, nullptr, "text/plain"}},
         .handler = get_healthz},
        {.path = "/readyz",
         .right = Access::open(),
         .id = "readyz_get",
         .tag = "health",
         .summary = "200 when the store takes writes; 503 with the reason when it is read-only.",
         .answers = {{200, nullptr, "text/plain"}, {503, nullptr, "text/plain"}},
         .handler = get_readyz},
        {.path = "/metrics",
         .right = Right::viewer,
         .id = "metrics_get",
         .tag = "health",
         .summary = "Numbers for Prometheus.",
         .answers = {{200, nullptr, "text/plain"}},
         .handler = get_metrics},
    };
}

}  // namespace ballast::api
