// What is known of moving VMs from one host to another: the matrix, and the check of one pair.
#include "daemon/api/checks.h"
#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/schemas.h"

namespace ballast::api {
namespace {

const ListOf pair_list{"pairs", {"from_host", "to_host"}};

Task<Response> list_pairs(Request request, ContextPtr context) {
    return list_rows<HostPair>(std::move(request), std::move(context), &pair_list, &Snapshot::pairs);
}

/// Takes seconds: both hosts are asked. It writes a nonce on both, so both must be managed.
Task<Response> check_pair(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<PairAsk>(request, context));
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto from, find_host(*snapshot, ask.from));
    BALLAST_CO_TRY(const auto to, find_host(*snapshot, ask.to));
    if (from->id == to->id) co_return fail(Code::invalid_argument, "{} is no pair with itself", from->name);
    BALLAST_CO_CHECK(check_managed(*from));
    BALLAST_CO_CHECK(check_managed(*to));
    if (!context->observer) co_return fail(Code::unavailable, "nothing observes the hosts");
    BALLAST_CO_TRY(const auto pair, co_await context->observer->check_pair(from->id, to->id));
    // Its rows are the observer's writes; this one leaves the audit event and the answer for a repeated key.
    const auto row = std::make_shared<const HostPair>(pair);
    auto answer = co_await commit(request, context, [request, context, row](store::Transaction&) -> Result<Response> {
        return row_response(request, context, row);
    });
    co_return answer;
}

}  // namespace

std::vector<Route> pair_routes() {
    return {
        {.path = "/api/v1/pairs",
         .right = Right::viewer,
         .id = "pair_list",
         .tag = "hosts",
         .summary = "The matrix: what was found when VMs were to move from one host to another.",
         .query = list_parameters(pair_list),
         .answers = {{200, page_schema<HostPair>}},
         .handler = list_pairs},
        {.verb = Verb::post,
         .path = "/api/v1/pairs/check",
         .right = Right::operator_,
         .id = "pair_check",
         .tag = "hosts",
         .summary = "Check one pair now.",
         .body = schema<PairAsk>,
         .takes = Takes::json,
         .answers = {{200, schema<HostPair>}},
         .failures = {Code::not_found, Code::failed_precondition, Code::unavailable, Code::deadline_exceeded},
         .handler = check_pair},
    };
}

}  // namespace ballast::api
