#pragma once
// What routes share: work that becomes a job, and the usual list of failures.

#include <functional>

#include "daemon/api/commit.h"
#include "daemon/api/route.h"
#include "daemon/jobs/submit.h"

namespace ballast::api {

/// Commits the job and answers 202.
Task<Response> submit_job(Request request, ContextPtr context, jobs::JobRequest job);

/// What a verb demands of its VM beyond what every job does.
using VmCheck = std::function<Result<void>(const Snapshot&, const Vm&)>;

/// The same for a verb on the VM in the path; its `id`, If-Match and `check` are looked at inside the transaction,
/// behind the Idempotency-Key: a repeated call gets its first answer, though the job has changed the VM meanwhile.
Task<Response> submit_vm_job(Request request, ContextPtr context, std::string kind, JsonText params,
                             VmCheck check = nullptr);

/// A parsed and rewritten body: what a job keeps is what was understood.
template <class Params>
Task<JsonText> parse_params(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto params, co_await parse_body<Params>(std::move(request), std::move(context)));
    co_return JsonText{to_json_text(params)};
}

}  // namespace ballast::api
