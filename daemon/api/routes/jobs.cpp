// Jobs: lists, one with its steps and progress, cancel.
#include <nlohmann/json.hpp>

#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/progress.h"

namespace ballast::api {
namespace {

const ListOf job_list{"jobs", {"kind", "vm", "host", "subject", "actor", "state"}};

Task<Response> list_jobs(Request request, ContextPtr context) {
    return list_rows<Job>(std::move(request), std::move(context), &job_list, &Snapshot::jobs);
}

std::string progress_text(const jobs::Progress& progress) {
    return dump(Json{{"percent", progress.percent},
                     {"text", progress.text},
                     {"data", Json::parse(progress.data.text, nullptr, false)},
                     {"time", to_string(progress.time)}});
}

/// The row, and beside it the progress of the moment: ephemeral, so it has no part in the ETag.
Task<Response> get_job(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    const auto job = snapshot->jobs.find_ptr(JobId(std::string(request.param("id"))));
    if (!job) co_return fail(Code::not_found, "no job has the id '{}'; see `ballast job list`", request.param("id"));
    Response response = row_response(request, context, job);
    const auto* progress = context->progress ? context->progress->find(job->id) : nullptr;
    if (progress == nullptr || is_finished(job->state)) co_return response;
    std::string text = *context->rows->render(job);
    text.pop_back();
    text += ",\"progress\":" + progress_text(*progress) + "}";
    Response live = json_response(200, std::move(text));
    live.headers["etag"] = etag_of(job->revision);
    co_return live;
}

Task<Response> cancel_job(Request request, ContextPtr context) {
    const JobId id{std::string(request.param("id"))};
    auto work = [context, id](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto job, jobs::request_cancel(transaction, id));
        return job_response(transaction, context, job.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

}  // namespace

std::vector<Route> job_routes() {
    return {
        {.path = "/api/v1/jobs",
         .right = Right::viewer,
         .id = "job_list",
         .tag = "jobs",
         .summary = "Jobs.",
         .query = list_parameters(job_list),
         .answers = {{200, page_schema<Job>}},
         .handler = list_jobs},
        {.path = "/api/v1/jobs/{id}",
         .right = Right::viewer,
         .id = "job_get",
         .tag = "jobs",
         .summary = "One job with its steps; while it runs, also its `progress`.",
         .answers = {{200, schema<Job>}},
         .tagged = true,
         .handler = get_job},
        {.verb = Verb::post,
         .path = "/api/v1/jobs/{id}/cancel",
         .right = Right::operator_,
         .id = "job_cancel",
         .tag = "jobs",
         .summary = "Ask it to stop, when that is safe.",
         .takes = Takes::json,
         .body_optional = true,
         .answers = {{202, schema<Job>}},
         .failures = {Code::failed_precondition},
         .handler = cancel_job},
    };
}

}  // namespace ballast::api
