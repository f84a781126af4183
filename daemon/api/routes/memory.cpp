// What the memory controller sees and has seen: the cluster in a line per host, one host with every byte, one VM.
// Nothing is read for a request: the pictures are those of the last sweep, the history is the store's.
#include <array>
#include <span>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"
#include "daemon/api/commit.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/memory_types.h"
#include "daemon/api/schemas.h"

namespace ballast::api {
namespace {

constexpr std::uint64_t most_rows = 5'000;

Result<std::shared_ptr<const overcommit::Pictures>> pictures_of(const Context& context) {
    if (!context.memory) return fail(Code::unavailable, "nothing looks at the memory of hosts here");
    return context.memory();
}

std::string word_of(HostState state) {
    return boost::describe::enum_to_string(state, "unknown");
}

Task<Response> get_memory(Request, ContextPtr context) {
    BALLAST_CO_TRY(const auto pictures, pictures_of(*context));
    co_return json_response(200, to_json_text(view_of(*context->store->snapshot(), *pictures)));
}

Task<Response> get_host_memory(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto pictures, pictures_of(*context));
    const auto picture = pictures->find(host->id);
    if (picture == pictures->end())
        co_return fail(
            Code::unavailable,
            "the memory of host {} was not read yet; that comes with the next sweep, once it answers (it is {})",
            host->name, word_of(host->state));
    co_return json_response(200, to_json_text(view_of(*host, *picture->second)));
}

Task<Response> get_vm_memory(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto pictures, pictures_of(*context));
    const auto view = view_of(*vm, *pictures);
    if (!view)
        co_return fail(Code::unavailable,
                       "VM {} has no memory figures; they come with a sweep of its host while it runs", vm->name);
    co_return json_response(200, to_json_text(*view));
}

struct NamedResolution {
    std::string_view name;
    const store::MemoryResolution& resolution;
};
constexpr std::array resolutions{NamedResolution{"10s", store::memory_resolutions[0]},
                                 NamedResolution{"1m", store::memory_resolutions[1]},
                                 NamedResolution{"10m", store::memory_resolutions[2]}};
constexpr std::array vm_resolutions{NamedResolution{"1m", store::vm_memory_resolutions[0]},
                                    NamedResolution{"10m", store::vm_memory_resolutions[1]}};

/// The first of them where none is asked for.
Result<NamedResolution> resolution_of(const Request& request, std::span<const NamedResolution> all,
                                      std::string_view words) {
    const auto asked = request.query_or("resolution", all.front().name);
    for (const auto& known : all)
        if (known.name == asked) return known;
    return fail(Code::invalid_argument, "the query parameter resolution: '{}' is not {}", asked, words);
}

Result<Timestamp> query_time(const Request& request, std::string_view name, Timestamp otherwise) {
    const auto text = request.query_or(name, "");
    if (text.empty()) return otherwise;
    const auto time = parse_timestamp(text);
    if (time) return *time;
    return fail(Code::invalid_argument, "the query parameter {}: '{}' is no time such as 2026-11-22T12:00:00Z", name,
                text);
}

/// Which time is asked for, and how much of it at most: fills that of a query.
template <class Query>
Result<Query> within_time(const Request& request, Query query, Timestamp now) {
    BALLAST_TRY(query.from, query_time(request, "from", Timestamp()));
    BALLAST_TRY(query.until, query_time(request, "to", now + Milliseconds(1)));
    if (query.until < query.from)
        return fail(Code::invalid_argument, "the query parameter to: {} is before from, {}", to_string(query.until),
                    to_string(query.from));
    BALLAST_TRY(const auto limit, query_number(request, "limit", 1'000));
    if (limit < 1 || limit > most_rows)
        return fail(Code::invalid_argument, "the query parameter limit: {} is not between 1 and {}", limit, most_rows);
    query.limit = static_cast<int>(limit);
    return query;
}

Task<Response> get_history(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto resolution,
                   resolution_of(request, resolutions, "10s (kept for an hour), 1m (a day) or 10m (30 days)"));
    store::MemoryHistoryQuery query;
    query.host = host->id;
    query.resolution = resolution.resolution;
    BALLAST_CO_TRY(query, within_time(request, std::move(query), context->clock->now()));
    BALLAST_CO_TRY(const auto rows, co_await context->store->memory_history().read(std::move(query)));
    MemoryHistoryView view{
        .host = host->id, .name = host->name, .resolution = std::string(resolution.name), .items = {}};
    for (const auto& row : rows) view.items.push_back(view_of(row));
    co_return json_response(200, to_json_text(view));
}

Task<Response> get_vm_history(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto resolution,
                   resolution_of(request, vm_resolutions, "1m (kept for a day) or 10m (30 days)"));
    store::VmMemoryHistoryQuery query;
    query.vm = vm->id;
    query.resolution = resolution.resolution;
    BALLAST_CO_TRY(query, within_time(request, std::move(query), context->clock->now()));
    BALLAST_CO_TRY(const auto rows, co_await context->store->vm_memory_history().read(std::move(query)));
    VmMemoryHistoryView view{.vm = vm->id, .name = vm->name, .resolution = std::string(resolution.name), .items = {}};
    for (const auto& row : rows) view.items.push_back(view_of(row));
    co_return json_response(200, to_json_text(view));
}

}  // namespace

std::vector<Route> memory_routes() {
    return {
        {.path = "/api/v1/memory",
         .right = Right::viewer,
         .id = "memory_get",
         .tag = "memory",
         .summary = "Memory of every host, as of its last sweep, and the sums.",
         .answers = {{200, schema<MemoryView>}},
         .failures = {Code::unavailable},
         .handler = get_memory},
        {.path = "/api/v1/hosts/{id}/memory",
         .right = Right::viewer,
         .id = "host_memory",
         .tag = "memory",
         .summary = "Where every byte of a host is, what is promised, its danger and risk, and each VM.",
         .answers = {{200, schema<HostMemoryView>}},
         .failures = {Code::unavailable},
         .handler = get_host_memory},
        {.path = "/api/v1/hosts/{id}/memory/history",
         .right = Right::viewer,
         .id = "host_memory_history",
         .tag = "memory",
         .summary = "Its memory over time: means, and the worst of each time; oldest first.",
         .query = {{"resolution", "string", "10s (default; kept for an hour), 1m (a day) or 10m (30 days)."},
                   {"from", "string", "A time (RFC 3339); left out: as long as it is kept."},
                   {"to", "string", "Rows that begin before it; left out: now."},
                   {"limit", "integer", "The newest so many, 1 to 5000; default 1000."}},
         .answers = {{200, schema<MemoryHistoryView>}},
         .handler = get_history},
        {.path = "/api/v1/vms/{id}/memory",
         .right = Right::viewer,
         .id = "vm_memory",
         .tag = "memory",
         .summary = "The balloon and the working set of a VM that runs, and why.",
         .answers = {{200, schema<VmMemoryView>}},
         .failures = {Code::unavailable},
         .handler = get_vm_memory},
        {.path = "/api/v1/vms/{id}/memory/history",
         .right = Right::viewer,
         .id = "vm_memory_history",
         .tag = "memory",
         .summary = "Its memory over time: means, and for how long it lacked memory; oldest first.",
         .query = {{"resolution", "string", "1m (default; kept for a day) or 10m (30 days)."},
                   {"from", "string", "A time (RFC 3339); left out: as long as it is kept."},
                   {"to", "string", "Rows that begin before it; left out: now."},
                   {"limit", "integer", "The newest so many, 1 to 5000; default 1000."}},
         .answers = {{200, schema<VmMemoryHistoryView>}},
         .handler = get_vm_history},
    };
}

}  // namespace ballast::api
