#include "daemon/api/routes/common.h"

namespace ballast::api {

Task<Response> submit_job(Request request, ContextPtr context, jobs::JobRequest job) {
    auto change = [context, job](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto queued, jobs::submit(transaction, job));
        return job_response(transaction, context, queued.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(change));
    co_return answer;
}

Task<Response> submit_vm_job(Request request, ContextPtr context, std::string kind, JsonText params, VmCheck check) {
    auto change = [request, context, kind, params, check](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto vm, find_vm(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "VM " + vm->name, vm)) return *std::move(stale);
        if (check) BALLAST_CHECK(check(transaction.snapshot(), *vm));
        BALLAST_TRY(
            const auto queued,
            jobs::submit(transaction, {.kind = kind, .vm = vm->id, .host = {}, .subject = vm->name, .params = params}));
        return job_response(transaction, context, queued.id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(change));
    co_return answer;
}

}  // namespace ballast::api
