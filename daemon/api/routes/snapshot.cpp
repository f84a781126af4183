// The whole inventory at one moment, now or in the past: what every decision was made on, for replays and what-if.
#include <charconv>

#include <nlohmann/json.hpp>

#include "daemon/api/commit.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/schemas.h"

namespace ballast::api {
namespace {

/// The number of an event, or the last one of a moment. Errors: invalid_argument.
Task<std::uint64_t> seq_of(ContextPtr context, std::string at) {
    std::uint64_t seq = 0;
    const auto [end, error] = std::from_chars(at.data(), at.data() + at.size(), seq);
    if (error == std::errc() && end == at.data() + at.size()) co_return seq;
    const auto time = parse_timestamp(at);
    if (!time)
        co_return fail(Code::invalid_argument,
                       "the query parameter at: '{}' is neither the number of an event nor a time such as "
                       "2026-11-22T12:00:00Z",
                       at);
    if (*time > context->clock->now())
        co_return fail(Code::invalid_argument, "the query parameter at: {} is in the future", at);
    auto found = co_await context->store->seq_at(*time);
    co_return found;
}

Task<Response> get_snapshot(Request request, ContextPtr context) {
    const std::string at(request.query_or("at", ""));
    auto snapshot = context->store->snapshot();
    if (!at.empty()) {
        BALLAST_CO_TRY(const auto seq, co_await seq_of(context, at));
        BALLAST_CO_TRY(snapshot, co_await context->store->snapshot_at(seq));
    }
    BALLAST_CO_TRY(auto text, co_await on_pool<std::string>(context->cpu, [snapshot]() -> Result<std::string> {
                       return dump(to_json(*snapshot));
                   }));
    co_return json_response(200, std::move(text));
}

}  // namespace

std::vector<Route> snapshot_routes() {
    return {
        {.path = "/api/v1/snapshot",
         .right = Right::viewer,
         .id = "snapshot_get",
         .tag = "cluster",
         .summary = "The whole inventory at one moment as one document, without tokens; `ballast what-if` reads it.",
         .query = {{"at", "string", "A time (RFC 3339) or the number of an event; left out: now."}},
         .answers = {{200, nullptr, "application/json"}},
         .failures = {Code::not_found},
         .handler = get_snapshot}};
}

}  // namespace ballast::api
