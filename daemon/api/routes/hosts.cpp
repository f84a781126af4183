// Hosts: add, settings, observed or managed, maintenance, death and quarantine, removal. Their changes are rows; what
// follows from a row (connecting, listing) the reconciler does.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "daemon/api/checks.h"
#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/reservations.h"
#include "daemon/reconcile/release.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
const ListOf host_list{"hosts", {"name", "state", "managed", "maintenance"}};
constexpr Seconds longest_wait{10};

Task<Response> list_hosts(Request request, ContextPtr context) {
    return list_rows<Host>(std::move(request), std::move(context), &host_list, &Snapshot::hosts);
}

Task<Response> get_host(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    co_return row_response(request, context, host);
}

Task<Response> get_stats(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto host, find_host(*snapshot, request.param("id")));
    const auto stats = context->stats ? context->stats("host", host->id.str()) : std::nullopt;
    if (!stats)
        co_return fail(Code::unavailable, "host {} has no statistics yet; they come with the next sweep", host->name);
    co_return json_response(200, stats->text);
}

/// The row as it is at the end of a change.
Response host_response(const Request& request, const ContextPtr& context, const store::Transaction& transaction,
                       const HostId& id, int status = 200) {
    return row_response(request, context, transaction.snapshot().hosts.find_ptr(id), status);
}

using HostChange = std::function<Result<store::EventNote>(store::Transaction&, Host&)>;

/// Any change of the host in the path: looked up, If-Match compared, changed, put.
Task<Response> change_host(Request request, ContextPtr context, HostChange change) {
    auto work = [request, context, change](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto found, find_host(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "host " + found->name, found)) return *std::move(stale);
        Host host = *found;
        BALLAST_TRY(auto note, change(transaction, host));
        if (host != *found) transaction.put(std::move(host), std::move(note));
        return host_response(request, context, transaction, found->id);
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

/// Until the host's state is more than `connecting`, or some seconds have passed: a duplicate or a refused connection
/// is then in the answer.
boost::asio::awaitable<void> wait_until_seen(ContextPtr context, HostId id) {
    asio::steady_timer pause(context->loop);
    const auto end = std::chrono::steady_clock::now() + longest_wait;
    while (std::chrono::steady_clock::now() < end) {
        const auto snapshot = context->store->snapshot();
        const Host* host = snapshot->hosts.find(id);
        if (host == nullptr || host->state != HostState::connecting) co_return;
        pause.expires_after(Milliseconds(50));
        static_cast<void>(co_await pause.async_wait(asio::as_tuple(asio::use_awaitable)));
    }
}

Result<Response> put_new_host(const Request& request, const ContextPtr& context, const HostAdd& ask,
                              const std::shared_ptr<HostId>& made, store::Transaction& transaction) {
    BALLAST_CHECK(check_new_host(transaction.snapshot(), ask));
    Host host;
    host.id = HostId(transaction.ids().uuid());
    host.name = ask.name;
    host.uri = ask.uri;
    host.managed = ask.managed;
    host.settings = ask.settings;
    host.state_since = transaction.now();
    *made = host.id;
    transaction.put(
        host, {"host.added", fmt::format("host {} was added as {}", host.name, host.managed ? "managed" : "observed")});
    Response response = host_response(request, context, transaction, host.id, 201);
    response.headers["location"] = "/api/v1/hosts/" + host.id.str();
    return response;
}

Task<Response> add_host(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const bool wait, query_flag(request, "wait"));
    BALLAST_CO_TRY(const auto ask, co_await parse_body<HostAdd>(request, context));
    BALLAST_CO_CHECK(context->check_uri(ask.uri));
    if (!ask.settings.peer_uri.empty()) BALLAST_CO_CHECK(context->check_uri(ask.settings.peer_uri));
    const auto made = std::make_shared<HostId>();
    auto change = [request, context, ask, made](store::Transaction& transaction) {
        return put_new_host(request, context, ask, made, transaction);
    };
    BALLAST_CO_TRY(auto response, co_await commit(request, context, std::move(change)));
    if (!wait || made->empty()) co_return response;
    co_await wait_until_seen(context, *made);
    const auto snapshot = context->store->snapshot();
    if (const auto host = snapshot->hosts.find_ptr(*made)) response.body = context->rows->render(host);
    co_return response;
}

/// RFC 7396 on settings as JSON. A key without its unit ("memory": "2G") replaces the one with it.
Json merged(Json settings, const Json& patch) {
    if (patch.is_object()) {
        for (const auto& [key, value] : patch.items()) {
            if (settings.contains(key)) continue;
            for (const std::string_view unit : {"_bytes", "_bytes_per_second"}) settings.erase(key + std::string(unit));
        }
    }
    settings.merge_patch(patch);
    return settings;
}

Task<Response> patch_host(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto text, co_await checked_body(request, context));
    const Json body = Json::parse(text.text);
    if (!body.is_object()) co_return fail(Code::invalid_argument, "the body is not an object");
    for (const auto& [key, value] : body.items())
        if (key != "settings" && key != "name")
            co_return fail(Code::invalid_argument, "{}: unknown key; known are name, settings", key);
    auto change = [context, body](store::Transaction& transaction, Host& host) -> Result<store::EventNote> {
        if (body.contains("name")) {
            BALLAST_TRY(host.name, from_json<std::string>(body["name"], "name"));
            BALLAST_CHECK(check_host_name_free(transaction.snapshot(), host.name, host.id));
        }
        if (body.contains("settings")) {
            const Json settings = merged(to_json(host.settings), body["settings"]);
            BALLAST_TRY(host.settings, from_json<HostSettings>(settings, "settings"));
            BALLAST_CHECK(check(host.settings));
            if (!host.settings.peer_uri.empty()) BALLAST_CHECK(context->check_uri(host.settings.peer_uri));
        }
        return store::EventNote{"host.changed", fmt::format("the settings of host {} were changed", host.name)};
    };
    auto answer = co_await change_host(std::move(request), context, std::move(change));
    co_return answer;
}

Task<Response> manage_host(Request request, ContextPtr context) {
    return change_host(
        std::move(request), std::move(context), [](store::Transaction&, Host& host) -> Result<store::EventNote> {
            host.managed = true;
            return store::EventNote{
                "host.managed",
                fmt::format("host {} is managed; VMs that were there stay observed until adopted", host.name)};
        });
}

Task<Response> observe_host(Request request, ContextPtr context) {
    return change_host(std::move(request), std::move(context),
                       [](store::Transaction& transaction, Host& host) -> Result<store::EventNote> {
                           BALLAST_CHECK(check_no_work(transaction.snapshot(), host, "made observed"));
                           host.managed = false;
                           return store::EventNote{
                               "host.observed",
                               fmt::format("host {} is only observed: nothing on it is changed", host.name)};
                       });
}

Task<Response> begin_maintenance(Request request, ContextPtr context) {
    return change_host(std::move(request), std::move(context),
                       [](store::Transaction&, Host& host) -> Result<store::EventNote> {
                           host.maintenance = true;
                           return store::EventNote{"host.maintenance_begun",
                                                   fmt::format("host {} takes nothing new: maintenance", host.name)};
                       });
}

Task<Response> end_maintenance(Request request, ContextPtr context) {
    return change_host(
        std::move(request), std::move(context), [](store::Transaction&, Host& host) -> Result<store::EventNote> {
            host.maintenance = false;
            return store::EventNote{"host.maintenance_ended", fmt::format("host {} takes work again", host.name)};
        });
}

Task<Response> confirm_dead(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<HostConfirmDead>(request, context));
    auto answer = co_await change_host(
        std::move(request), context, [ask](store::Transaction& transaction, Host& host) -> Result<store::EventNote> {
            BALLAST_CHECK(check_confirm_dead(host, ask));
            host.confirmed_dead = true;
            const int released = reconcile::release_vms(transaction, host.id, ask.reason);
            return store::EventNote{
                "host.confirmed_dead",
                fmt::format("host {} is confirmed dead: {}; {} VMs are released", host.name, ask.reason, released)};
        });
    co_return answer;
}

Task<Response> resolve_quarantine(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<QuarantineAsk>(request, context));
    auto answer = co_await change_host(
        std::move(request), context, [ask](store::Transaction& transaction, Host& host) -> Result<store::EventNote> {
            BALLAST_CHECK(check_resolve(transaction.snapshot(), host, ask));
            host.confirmed_dead = false;
            return store::EventNote{"host.quarantine_resolved",
                                    fmt::format("the quarantine of host {} is resolved: {}", host.name, ask.reason)};
        });
    co_return answer;
}

/// The row goes; the reconciler sees it, lets go of the connection and forgets what it knew only from there.
Task<Response> remove_host(Request request, ContextPtr context) {
    auto work = [request, context](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto host, find_host(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "host " + host->name, host)) return *std::move(stale);
        BALLAST_CHECK(check_no_work(transaction.snapshot(), *host, "removed"));
        BALLAST_CHECK(jobs::check_nothing_reserved(transaction.snapshot(), *host));
        transaction.erase(
            host->id,
            {"host.removed", fmt::format("host {} was removed from Ballast; its VMs are untouched", host->name)});
        return no_content();
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Route host_verb(std::string verb, Access right, std::string summary, Handler handler, SchemaMaker body = nullptr) {
    std::string id = "host_" + verb;
    std::ranges::replace(id, '-', '_');
    return {.verb = Verb::post,
            .path = "/api/v1/hosts/{id}/" + verb,
            .right = right,
            .id = id,
            .tag = "hosts",
            .summary = std::move(summary),
            .body = body,
            .takes = Takes::json,
            .body_optional = body == nullptr,
            .answers = {{200, schema<Host>}},
            .failures = {Code::failed_precondition},
            .tagged = true,
            .handler = std::move(handler)};
}

}  // namespace

std::vector<Route> host_routes() {
    return {
        {.path = "/api/v1/hosts",
         .right = Right::viewer,
         .id = "host_list",
         .tag = "hosts",
         .summary = "Hosts.",
         .query = list_parameters(host_list),
         .answers = {{200, page_schema<Host>}},
         .handler = list_hosts},
        {.path = "/api/v1/hosts/{id}",
         .right = Right::viewer,
         .id = "host_get",
         .tag = "hosts",
         .summary = "One host.",
         .answers = {{200, schema<Host>}},
         .tagged = true,
         .handler = get_host},
        {.path = "/api/v1/hosts/{id}/stats",
         .right = Right::viewer,
         .id = "host_stats",
         .tag = "hosts",
         .summary = "Its latest statistics.",
         .answers = {{200, nullptr}},
         .failures = {Code::unavailable},
         .handler = get_stats},
        {.verb = Verb::post,
         .path = "/api/v1/hosts",
         .right = Right::admin,
         .id = "host_add",
         .tag = "hosts",
         .summary = "Add a libvirt host: observed, unless `managed` is true.",
         .query = {{"wait", "boolean", "Answer when the host was reached, at most some seconds later."}},
         .body = schema<HostAdd>,
         .takes = Takes::json,
         .answers = {{201, schema<Host>}},
         .failures = {Code::already_exists},
         .handler = add_host},
        {.verb = Verb::patch,
         .path = "/api/v1/hosts/{id}",
         .right = Right::admin,
         .id = "host_patch",
         .tag = "hosts",
         .summary = "Change its name or settings; what is absent stays.",
         .body = schema<HostPatch>,
         .takes = Takes::json,
         .answers = {{200, schema<Host>}},
         .failures = {Code::already_exists},
         .tagged = true,
         .handler = patch_host},
        {.verb = Verb::delete_,
         .path = "/api/v1/hosts/{id}",
         .right = Right::admin,
         .id = "host_remove",
         .tag = "hosts",
         .summary = "Remove it from Ballast; no VM on it is touched.",
         .answers = {{204, nullptr}},
         .failures = {Code::failed_precondition},
         .tagged = true,
         .handler = remove_host},
        host_verb("manage", Right::admin, "Let Ballast act on it.", manage_host),
        host_verb("observe", Right::admin, "Only watch it.", observe_host),
        host_verb("maintenance", Right::operator_, "Place nothing new on it.", begin_maintenance),
        host_verb("maintenance-end", Right::operator_, "Let it take work again.", end_maintenance),
        host_verb("confirm-dead", Right::admin, "Declare it dead, so that its VMs are released.", confirm_dead,
                  schema<HostConfirmDead>),
        host_verb("resolve-quarantine", Right::admin, "Let a host that was confirmed dead and came back work again.",
                  resolve_quarantine, schema<QuarantineAsk>),
    };
}

}  // namespace ballast::api
