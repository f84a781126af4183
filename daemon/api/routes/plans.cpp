// Plans of moves: made, looked at, said yes to, carried out, called off. The planner decides (scheduler/plan); the job
// cluster.rebalance acts.
#include <nlohmann/json.hpp>

#include "daemon/api/list.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/routes/plan_types.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/rebalance/plan_desk.h"

namespace ballast::api {
namespace {

const ListOf plan_list{"plans", {"goal", "state", "actor", "job"}};

Result<jobs::PlanDesk*> desk_of(const Context& context) {
    if (!context.plans) return fail(Code::unavailable, "this daemon makes no plans");
    return context.plans.get();
}

Task<Response> list_plans(Request request, ContextPtr context) {
    return list_rows<Plan>(std::move(request), std::move(context), &plan_list, &Snapshot::plans);
}

Task<Response> get_plan(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto row, jobs::find_plan(*snapshot, request.param("id")));
    co_return row_response(request, context, row);
}

/// 201 with the row; 200 without an id where there is nothing worth moving, or it was a dry run.
Response plan_response(const store::Transaction& transaction, const ContextPtr& context, const Plan& plan) {
    if (plan.id.empty()) return json_response(200, to_json_text(plan));
    const auto row = transaction.snapshot().plans.find_ptr(plan.id);
    Response response = json_response(201, context->rows->render(row));
    response.headers["location"] = "/api/v1/plans/" + row->id.str();
    response.headers["etag"] = etag_of(row->revision);
    return response;
}

Task<Response> make_plan(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<jobs::PlanAsk>(request, context));
    BALLAST_CO_TRY(const bool dry_run, query_flag(request, "dry_run"));
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    BALLAST_CO_TRY(const auto moves, co_await desk->make(ask));
    const Plan row = jobs::make_plan_row(ask, moves, request.identity.name);
    if (dry_run) co_return json_response(200, to_json_text(row));
    auto answer = co_await commit(std::move(request), context, [context, row](store::Transaction& transaction) {
        return Result<Response>(plan_response(transaction, context, jobs::put_plan(transaction, row)));
    });
    co_return answer;
}

/// A change of the plan in the path, with its If-Match looked at first.
using PlanChange = std::function<Result<Response>(store::Transaction&, const Plan&)>;

Task<Response> change_plan(Request request, ContextPtr context, PlanChange change) {
    auto work = [request, context, change](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto plan, jobs::find_plan(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "plan " + plan->id.str(), plan)) return *std::move(stale);
        return change(transaction, *plan);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> approve_plan(Request request, ContextPtr context) {
    return change_plan(request, context,
                       [request, context](store::Transaction& transaction, const Plan& plan) -> Result<Response> {
                           BALLAST_TRY(const Plan approved, jobs::approve_plan(transaction, plan.id));
                           return row_response(request, context, transaction.snapshot().plans.find_ptr(approved.id));
                       });
}

Task<Response> apply_plan(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    auto change = [context, settings = desk->settings()](store::Transaction& transaction,
                                                         const Plan& plan) -> Result<Response> {
        BALLAST_TRY(const Job job, jobs::apply_plan(transaction, plan.id, settings));
        return job_response(transaction, context, job.id);
    };
    auto answer = co_await change_plan(std::move(request), context, std::move(change));
    co_return answer;
}

Task<Response> cancel_plan(Request request, ContextPtr context) {
    return change_plan(request, context,
                       [request, context](store::Transaction& transaction, const Plan& plan) -> Result<Response> {
                           BALLAST_TRY(const auto job, jobs::cancel_plan(transaction, plan.id));
                           if (job) return job_response(transaction, context, job->id);
                           return row_response(request, context, transaction.snapshot().plans.find_ptr(plan.id));
                       });
}

/// What the load history says of every VM: what the planner is told.
Task<Response> get_load(Request /*request*/, ContextPtr context) {
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    auto work = [load = desk->loads().load(context->clock->now())]() -> Result<std::string> {
        return to_json_text(load);
    };
    BALLAST_CO_TRY(auto text, co_await on_pool<std::string>(context->cpu, std::move(work)));
    co_return json_response(200, std::move(text));
}

Task<Response> ask_what_if(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto ask, co_await parse_body<scheduler::WhatIfAsk>(std::move(request), context));
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    BALLAST_CO_TRY(const auto answer, co_await desk->what_if(std::move(ask)));
    co_return json_response(200, to_json_text(answer));
}

Route plan_verb(std::string verb, std::string summary, std::vector<Answer> answers, Handler handler) {
    return {.verb = Verb::post,
            .path = "/api/v1/plans/{id}/" + verb,
            .right = Right::operator_,
            .id = "plan_" + verb,
            .tag = "plans",
            .summary = std::move(summary),
            .takes = Takes::json,
            .body_optional = true,
            .answers = std::move(answers),
            .failures = {Code::failed_precondition, Code::conflict},
            .tagged = true,
            .handler = std::move(handler)};
}

}  // namespace

std::vector<Route> plan_routes() {
    return {
        {.path = "/api/v1/plans",
         .right = Right::viewer,
         .id = "plan_list",
         .tag = "plans",
         .summary = "Plans of moves: those that wait for a yes, are carried out, or have ended.",
         .query = list_parameters(plan_list),
         .answers = {{200, page_schema<Plan>}},
         .handler = list_plans},
        {.verb = Verb::post,
         .path = "/api/v1/plans",
         .right = Right::operator_,
         .id = "plan_make",
         .tag = "plans",
         .summary = "Plan which VMs to move, in which order and why. Nothing is moved; a plan without a move is not "
                    "kept and has no id.",
         .query = {{"dry_run", "boolean", "Answer the plan without keeping it."}},
         .body = schema<jobs::PlanAsk>,
         .takes = Takes::json,
         .body_optional = true,
         .answers = {{200, schema<Plan>}, {201, schema<Plan>}},
         .failures = {Code::not_found, Code::failed_precondition, Code::unavailable},
         .handler = make_plan},
        {.path = "/api/v1/plans/{id}",
         .right = Right::viewer,
         .id = "plan_get",
         .tag = "plans",
         .summary = "One plan with its moves.",
         .answers = {{200, schema<Plan>}},
         .tagged = true,
         .handler = get_plan},
        plan_verb("approve", "Say yes to it, also for the VMs whose policy `moves` is ask.", {{200, schema<Plan>}},
                  approve_plan),
        plan_verb("apply", "Carry it out. VMs that ask are left out unless it was approved.", {{202, schema<Job>}},
                  apply_plan),
        plan_verb("cancel", "Call it off; one that is being carried out is asked to stop.",
                  {{200, schema<Plan>}, {202, schema<Job>}}, cancel_plan),
        {.verb = Verb::delete_,
         .path = "/api/v1/plans/{id}",
         .right = Right::operator_,
         .id = "plan_delete",
         .tag = "plans",
         .summary = "The same as cancel: the row stays as history.",
         .answers = {{200, schema<Plan>}, {202, schema<Job>}},
         .failures = {Code::failed_precondition},
         .tagged = true,
         .handler = cancel_plan},
        {.path = "/api/v1/load",
         .right = Right::viewer,
         .id = "load_get",
         .tag = "plans",
         .summary = "What each VM uses: mean, deviation and pattern by the hour, as the planner is told.",
         .answers = {{200, schema<scheduler::ClusterLoad>}},
         .failures = {Code::unavailable},
         .handler = get_load},
        {.verb = Verb::post,
         .path = "/api/v1/what-if",
         .right = Right::viewer,
         .id = "what_if",
         .tag = "plans",
         .summary =
             "What would happen if hosts were lost, drained or added, or VMs added: what would run where, and what "
             "would not. Overcommitted hosts are judged by what was measured. Nothing is changed.",
         .body = schema<scheduler::WhatIfAsk>,
         .takes = Takes::json,
         .answers = {{200, schema<scheduler::WhatIfAnswer>}},
         .failures = {Code::not_found, Code::unavailable},
         .durable = false,
         .handler = ask_what_if},
    };
}

}  // namespace ballast::api
