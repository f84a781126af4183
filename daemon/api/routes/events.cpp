// What happened: as a list, as a stream, and the audit log.
#include <charconv>

#include "core/try.h"
#include "daemon/api/commit.h"
#include "daemon/api/list.h"
#include "daemon/api/metrics.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/schemas.h"
#include "daemon/api/sse.h"

namespace ballast::api {
namespace {

/// The id of a VM or host that was given by name, so that a filter may use either.
std::string resolve(const Snapshot& snapshot, std::string_view kind, std::string_view id) {
    if (kind == "vm")
        if (const auto vm = find_vm(snapshot, id)) return (*vm)->id.str();
    if (kind == "host")
        if (const auto host = find_host(snapshot, id)) return (*host)->id.str();
    return std::string(id);
}

EventFilter filter_of(const Request& request, const Snapshot& snapshot) {
    const auto kind = request.query_or("subject_kind", "");
    return {.subject_kind = std::string(kind),
            .subject_id = resolve(snapshot, kind, request.query_or("subject", "")),
            .kind_prefix = std::string(request.query_or("kind", ""))};
}

Task<Response> list_page(Request request, ContextPtr context, EventFilter filter) {
    BALLAST_CO_TRY(const auto after, query_number(request, "after", 0));
    BALLAST_CO_TRY(const auto limit, query_number(request, "limit", 100));
    if (limit < 1 || limit > 1000)
        co_return fail(Code::invalid_argument, "the query parameter limit: {} is not between 1 and 1000", limit);
    store::EventQuery query;
    query.after = after;
    query.limit = static_cast<int>(limit);
    query.subject_kind = filter.subject_kind;
    query.subject_id = filter.subject_id;
    query.kind_prefix = filter.kind_prefix;
    BALLAST_CO_TRY(const auto events, co_await context->store->events(query));
    std::vector<Text> items;
    for (const auto& event : events) items.push_back(std::make_shared<const std::string>(event_text(event)));
    co_return page_response(items, events.size() == limit ? std::to_string(events.back().seq) : "");
}

Task<Response> get_events(Request request, ContextPtr context) {
    const auto filter = filter_of(request, *context->store->snapshot());
    if (request.header("accept").find("text/event-stream") == std::string_view::npos) {
        auto page = co_await list_page(std::move(request), context, filter);
        co_return page;
    }
    if (context->metrics->streams() >= context->limits.event_streams)
        co_return fail(Code::unavailable,
                       "{} event streams are open, which is the limit; close one, or raise `limits.event_streams`",
                       context->limits.event_streams);
    Request resume = request;
    if (const auto last = request.header("last-event-id"); !last.empty()) resume.query["after"] = last;
    std::optional<std::uint64_t> after;
    if (resume.query.contains("after")) {
        BALLAST_CO_TRY(after, query_number(resume, "after", 0));
    }
    co_return stream_events(request, context, filter, after);
}

Task<Response> get_audit(Request request, ContextPtr context) {
    auto page = co_await list_page(std::move(request), std::move(context),
                                   {.subject_kind = {}, .subject_id = {}, .kind_prefix = "audit."});
    co_return page;
}

const QueryParameter after{"after", "integer",
                           "The number of the last event that is known; a stream starts behind it."};
const QueryParameter limit{"limit", "integer", "Events of this page, 1 to 1000; 100 when not given."};

}  // namespace

std::vector<Route> event_routes() {
    return {
        {.path = "/api/v1/events",
         .right = Right::viewer,
         .id = "event_list",
         .tag = "events",
         .summary = "Events by number; with `Accept: text/event-stream` as a stream that resumes after Last-Event-ID.",
         .query = {after,
                   limit,
                   {"subject_kind", "string", "vm, host, job, volume, image, pool, pair, migration, token."},
                   {"subject", "string", "Id of the subject; of a VM or host also its name."},
                   {"kind", "string", "Prefix of the kind, such as `vm.`."}},
         .answers = {{200, page_schema<Event>}, {200, nullptr, "text/event-stream"}},
         .failures = {Code::unavailable},
         .handler = get_events},
        {.path = "/api/v1/audit",
         .right = Right::admin,
         .id = "audit_list",
         .tag = "events",
         .summary = "Every write that was asked for: by whom, what, and how it ended.",
         .query = {after, limit},
         .answers = {{200, page_schema<Event>}},
         .handler = get_audit},
    };
}

}  // namespace ballast::api
