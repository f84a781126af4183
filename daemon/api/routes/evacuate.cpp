// Evacuation of a host: one job that queues a migration for each of its VMs.
#include <nlohmann/json.hpp>

#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/evacuation.h"

namespace ballast::api {
namespace {

/// The host of the path counts; one in the body must be the same.
Result<jobs::HostEvacuateParams> with_host(const Snapshot& snapshot, std::string_view name,
                                           jobs::HostEvacuateParams params) {
    BALLAST_TRY(const auto host, find_host(snapshot, name));
    if (!params.host.empty() && params.host != host->name && params.host != host->id.str())
        return fail(Code::invalid_argument, "host: '{}' is not the host of the path, '{}'; leave it out", params.host,
                    host->name);
    params.host = host->id.str();
    return params;
}

Task<Response> evacuate_host(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto body, co_await parse_body<jobs::HostEvacuateParams>(request, context));
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto params, with_host(*snapshot, request.param("id"), std::move(body)));
    jobs::JobRequest job{
        .kind = "host.evacuate", .vm = {}, .host = {}, .subject = {}, .params = {to_json_text(params)}};
    auto answer = co_await submit_job(std::move(request), context, std::move(job));
    co_return answer;
}

}  // namespace

std::vector<Route> evacuate_routes() {
    return {{.verb = Verb::post,
             .path = "/api/v1/hosts/{id}/evacuate",
             .right = Right::operator_,
             .id = "host_evacuate",
             .tag = "hosts",
             .summary = "Move every VM that runs on it elsewhere; what may not move is listed with its reason.",
             .body = schema<jobs::HostEvacuateParams>,
             .takes = Takes::json,
             .body_optional = true,
             .answers = {{202, schema<Job>}},
             .failures = {Code::failed_precondition, Code::conflict},
             .handler = evacuate_host}};
}

}  // namespace ballast::api
