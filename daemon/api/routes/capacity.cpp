// How many more VMs of a spec the cluster takes, and where it breaks. Nothing is changed.
#include "scheduler/capacity.h"

#include "core/try.h"
#include "daemon/api/commit.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/placing.h"
#include "daemon/api/routes/types.h"
#include "daemon/api/schemas.h"

namespace ballast::api {
namespace {

Task<Response> post_capacity(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<CapacityAsk>(std::move(request), context));
    BALLAST_CO_CHECK(check(ask.spec));
    BALLAST_CO_TRY(const auto wanted, placement_of(*context, ask.spec, ask.host));
    auto work = [snapshot = context->store->snapshot(), wanted, limit = ask.limit,
                 preferences = context->preferences()]() -> Result<std::string> {
        BALLAST_TRY(const auto capacity, scheduler::find_capacity(snapshot, wanted, limit, snapshot->seq, preferences));
        return to_json_text(capacity);
    };
    BALLAST_CO_TRY(auto text, co_await on_pool<std::string>(context->cpu, std::move(work)));
    co_return json_response(200, std::move(text));
}

}  // namespace

std::vector<Route> capacity_routes() {
    return {{.verb = Verb::post,
             .path = "/api/v1/capacity",
             .right = Right::viewer,
             .id = "capacity",
             .tag = "placement",
             .summary = "How many more VMs of this spec fit, what limits each host, and what breaks first. Nothing is "
                        "changed.",
             .body = schema<CapacityAsk>,
             .takes = Takes::json,
             .answers = {{200, schema<scheduler::Capacity>}},
             .failures = {Code::not_found},
             .durable = false,
             .handler = post_capacity}};
}

}  // namespace ballast::api
