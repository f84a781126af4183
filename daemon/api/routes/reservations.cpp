// Reservations: room for VMs to come, for all of them or for none, until it is taken or expires.
#include "daemon/jobs/reservations.h"

#include "daemon/api/commit.h"
#include "daemon/api/list.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/placing.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/plan_gate.h"

namespace ballast::api {
namespace {

Task<jobs::PlacedBatch> place(ContextPtr context, std::vector<scheduler::BatchMember> members) {
    auto work = [snapshot = context->store->snapshot(), members = std::move(members),
                 preferences = context->preferences()]() -> Result<jobs::PlacedBatch> {
        return jobs::place_batch(snapshot, members, preferences);
    };
    auto batch = co_await on_pool<jobs::PlacedBatch>(context->cpu, std::move(work));
    co_return batch;
}

/// A refusal goes through the transaction, too: a repeated request is to get its first answer, though its own first
/// time has taken the room.
Task<Response> create_reservation(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<jobs::ReservationAsk>(request, context));
    BALLAST_CO_TRY(const auto members, jobs::batch_of(*context->store->snapshot(), ask.vms, context->default_pool));
    for (const auto& member : members) BALLAST_CO_CHECK(check_policy(*context, member.request.spec.placement));
    Result<Response> answer = fail(Code::internal, "reservation {}: nothing was tried", ask.name);
    for (int attempt = 0; attempt < jobs::most_decisions; ++attempt) {
        BALLAST_CO_TRY(auto placed, co_await place(context, members));
        const auto batch = std::make_shared<const jobs::PlacedBatch>(std::move(placed));
        auto work = [ask, batch](store::Transaction& transaction) -> Result<Response> {
            BALLAST_TRY(const auto made, jobs::reserve(transaction, ask, *batch));
            Response response = json_response(201, to_json_text(made));
            response.headers["location"] = "/api/v1/reservations/" + made.name;
            return response;
        };
        answer = co_await commit(request, context, std::move(work));
        if (answer || !batch->decision.placed || !jobs::lost_a_race(answer.error())) break;
    }
    co_return answer;
}

/// By name; `after` is the last name of the page before.
Task<Response> list_page(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto limit, query_number(request, "limit", 100));
    if (limit < 1 || limit > 1000)
        co_return fail(Code::invalid_argument, "the query parameter limit: {} is not between 1 and 1000", limit);
    const std::string after(request.query_or("after", ""));
    std::vector<Text> items;
    std::string last;
    for (const auto& view : jobs::list_reservations(*context->store->snapshot())) {
        if (view.name <= after) continue;
        if (items.size() == limit) co_return page_response(items, last);
        last = view.name;
        items.push_back(std::make_shared<const std::string>(to_json_text(view)));
    }
    co_return page_response(items, "");
}

Task<Response> get_one(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto view, jobs::find_reservation(*context->store->snapshot(), request.param("id")));
    co_return json_response(200, to_json_text(view));
}

Task<Response> delete_one(Request request, ContextPtr context) {
    auto work = [name = std::string(request.param("id"))](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto view, jobs::release(transaction, name));
        return json_response(200, to_json_text(view));
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

}  // namespace

std::vector<Route> reservation_routes() {
    return {
        {.path = "/api/v1/reservations",
         .right = Right::viewer,
         .id = "reservation_list",
         .tag = "placement",
         .summary = "Room that is held for VMs to come, by name.",
         .query = {{"limit", "integer", "Reservations of this page, 1 to 1000; 100 when not given."},
                   {"after", "string", "The `next` of the page before."}},
         .answers = {{200, page_schema<jobs::ReservationView>}},
         .handler = list_page},
        {.path = "/api/v1/reservations/{id}",
         .right = Right::viewer,
         .id = "reservation_get",
         .tag = "placement",
         .summary = "One reservation, by name: the places that are left.",
         .answers = {{200, schema<jobs::ReservationView>}},
         .handler = get_one},
        {.verb = Verb::post,
         .path = "/api/v1/reservations",
         .right = Right::operator_,
         .id = "reservation_create",
         .tag = "placement",
         .summary = "Hold room for VMs to come, for all of them or for none, until it is taken or expires.",
         .body = schema<jobs::ReservationAsk>,
         .takes = Takes::json,
         .answers = {{201, schema<jobs::ReservationView>}},
         .failures = {Code::not_found, Code::already_exists, Code::resource_exhausted, Code::failed_precondition},
         .handler = create_reservation},
        {.verb = Verb::delete_,
         .path = "/api/v1/reservations/{id}",
         .right = Right::operator_,
         .id = "reservation_delete",
         .tag = "placement",
         .summary = "Let the room go that is left of it.",
         .answers = {{200, schema<jobs::ReservationView>}},
         .failures = {Code::failed_precondition},
         .handler = delete_one},
    };
}

}  // namespace ballast::api
