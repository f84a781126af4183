#pragma once
// What routes share: work that becomes a job, and the usual list of failures.

#include "daemon/api/commit.h"
#include "daemon/api/route.h"
#include "daemon/jobs/submit.h"

namespace ballast::api {

/// Commits the job and answers 202.
Task<Response> submit_job(Request request, ContextPtr context, jobs::JobRequest job);

/// The same for a verb on the VM in the path; its `id` and If-Match are looked at inside the transaction.
Task<Response> submit_vm_job(Request request, ContextPtr context, std::string kind, JsonText params);

/// A parsed and rewritten body: what a job keeps is what was understood.
template <class Params>
Task<JsonText> parse_params(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto params, co_await parse_body<Params>(std::move(request), std::move(context)));
    co_return JsonText{to_json_text(params)};
}

}  // namespace ballast::api
