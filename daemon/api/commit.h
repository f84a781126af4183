#pragma once
// The conventions of every write, in one place: the change, the audit event and the answer that a reused
// Idempotency-Key gets are one transaction; If-Match is compared on the rows of that transaction. Loop thread calls;
// the change itself runs on the writer thread.

#include <functional>
#include <memory>
#include <optional>

#include "core/try.h"
#include "daemon/api/http.h"
#include "daemon/api/problem.h"
#include "daemon/api/row_cache.h"
#include "daemon/api/services.h"

namespace ballast::api {

/// Makes the change and the answer. An answer of status 400 and above, like an error, rolls the change back.
using RowChange = std::function<Result<Response>(store::Transaction&)>;

/// Commits; a reused Idempotency-Key gets its first answer again, or `conflict` where the request differs.
Task<Response> commit(Request request, ContextPtr context, RowChange change);

[[nodiscard]] std::string etag_of(std::uint64_t revision);

/// Whether an If-Match (or If-None-Match) header names the tag. "*" names every tag.
[[nodiscard]] bool names_tag(std::string_view header, std::string_view tag);

/// 412 with the resource as it is, when the request's If-Match names another revision.
template <class Row>
[[nodiscard]] std::optional<Response> refuse_stale(const Request& request, const ContextPtr& context,
                                                   std::string_view what, const std::shared_ptr<const Row>& row) {
    const std::string_view wanted = request.header("if-match");
    const std::string tag = etag_of(row->revision);
    if (wanted.empty() || names_tag(wanted, tag)) return std::nullopt;
    const Error error(Code::failed_precondition,
                      fmt::format("{} is at revision {}, If-Match says {}; read it again, then repeat the change", what,
                                  tag, wanted));
    Response response = problem(error, {.instance = request.id, .current = JsonText{*context->rows->render(row)}});
    response.headers["etag"] = tag;
    return response;
}

/// The row as an answer, with its ETag; 304 when If-None-Match names it.
template <class Row>
[[nodiscard]] Response row_response(const Request& request, const ContextPtr& context,
                                    const std::shared_ptr<const Row>& row, int status = 200) {
    const std::string tag = etag_of(row->revision);
    if (status == 200 && names_tag(request.header("if-none-match"), tag)) {
        Response unchanged;
        unchanged.status = 304;
        unchanged.headers["etag"] = tag;
        return unchanged;
    }
    Response response = json_response(status, context->rows->render(row));
    response.headers["etag"] = tag;
    return response;
}

/// 202 with the job and where to follow it.
[[nodiscard]] Response job_response(const store::Transaction& transaction, const ContextPtr& context, const JobId& job);

/// The body as a value of T; large bodies are parsed on the pool. An empty body is `{}`. Errors: invalid_argument.
Task<JsonText> checked_body(Request request, ContextPtr context);

template <class T>
Task<T> parse_body(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto text, co_await checked_body(std::move(request), std::move(context)));
    co_return parse_as<T>(text.text, "");
}

/// A query parameter that is true, false or absent. Errors: invalid_argument.
[[nodiscard]] Result<bool> query_flag(const Request& request, std::string_view name);
[[nodiscard]] Result<std::uint64_t> query_number(const Request& request, std::string_view name,
                                                 std::uint64_t otherwise);

}  // namespace ballast::api
