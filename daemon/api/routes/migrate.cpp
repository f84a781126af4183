// A VM is to move: the job, the dry run that says where it would go and what each mode would cost, and the forecast
// alone. A dry run and a forecast change nothing; they only make the VM's dirty-page curve wanted.
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "daemon/api/checks.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/routes/migration_types.h"
#include "daemon/api/routes/placing.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/params.h"
#include "migration/compatibility.h"
#include "migration/preflight.h"

namespace ballast::api {
namespace {

/// What no preflight is needed for. Errors: invalid_argument, not_found, failed_precondition.
Result<MigrationTerms> check_ask(const Context& context, const Snapshot& snapshot, const Vm& vm,
                                 const jobs::VmMigrateParams& params) {
    migration::HypervisorVersions versions;
    if (!params.to.empty()) {
        BALLAST_TRY(const auto to, find_host(snapshot, params.to));
        if (vm.host && to->id == *vm.host)
            return fail(Code::invalid_argument, "VM {} is on {} already; choose another host", vm.name, to->name);
        BALLAST_CHECK(check_managed(*to));
        versions = migration::versions_of(to->facts);
    }
    if (const Host* from = vm.host ? snapshot.hosts.find(*vm.host) : nullptr; from != nullptr)
        versions = migration::older_of(versions, migration::versions_of(from->facts));
    BALLAST_TRY(const auto terms, migration::resolve_terms(params.policy, params.mode, params.deadline, vm.spec,
                                                           context.migration_policy, context.clock->now()));
    BALLAST_CHECK(migration::check_combination(params.mode, params.knobs, terms, versions));
    if (params.knobs.copy_disks != DiskCopy::none && params.to.empty())
        return fail(Code::invalid_argument, "knobs.copy_disks: the disks are copied to one host; name it in `to`");
    return terms;
}

Result<migration::Forecast> forecast_of(const Context& context, const Vm& vm, const HostId& to,
                                        const jobs::VmMigrateParams& params, const MigrationTerms& terms) {
    if (!context.migrations) return fail(Code::unavailable, "this daemon does no migrations");
    return context.migrations->forecast(vm, to,
                                        {.terms = terms, .requested = params.mode, .knobs = params.knobs, .self = {}});
}

MigrationMode mode_to_check(ModeChoice choice) {
    if (choice == ModeChoice::post_copy) return MigrationMode::post_copy;
    if (choice == ModeChoice::hybrid) return MigrationMode::hybrid;
    if (choice == ModeChoice::stop_and_copy) return MigrationMode::stop_and_copy;
    return MigrationMode::pre_copy;
}

/// What is moved how.
struct Asked {
    const jobs::VmMigrateParams& params;
    const MigrationTerms& terms;
};

std::vector<PairCheck> preflight_of(const Context& context, const Snapshot& snapshot, const Vm& vm, const HostId& to,
                                    MigrationMode mode, const Asked& asked) {
    const Host* source = vm.host ? snapshot.hosts.find(*vm.host) : nullptr;
    const Host* target = snapshot.hosts.find(to);
    if (source == nullptr || target == nullptr) return {};
    return migration::judge_move(vm, *source, *target, find_pair(snapshot, source->id, to), snapshot,
                                 {.mode = mode,
                                  .now = context.clock->now(),
                                  .evidence_age = context.evidence_age,
                                  .offline = asked.params.mode == ModeChoice::offline,
                                  .knobs = asked.params.knobs,
                                  .policy = asked.terms});
}

/// On the pool: it looks at every host.
Task<scheduler::Decision> decision_of(ContextPtr context, scheduler::PlacementRequest wanted) {
    auto work = [snapshot = context->store->snapshot(), wanted,
                 preferences = context->preferences()]() -> Result<scheduler::Decision> {
        return scheduler::decide(*snapshot, wanted, snapshot->seq, preferences);
    };
    auto decision = co_await on_pool<scheduler::Decision>(context->cpu, std::move(work));
    co_return decision;
}

/// Where it would go as the job would choose: hosts that the preflight refuses are no candidates.
scheduler::PlacementRequest without_refused(const Context& context, const Snapshot& snapshot, const Vm& vm,
                                            const Asked& asked, scheduler::PlacementRequest wanted) {
    if (wanted.only) return wanted;
    snapshot.hosts.for_each([&](const Host& host) {
        const auto checks = preflight_of(context, snapshot, vm, host.id, mode_to_check(asked.params.mode), asked);
        if (host.id != vm.host && !migration::verdict_of(checks)) wanted.exclude.push_back(host.id);
    });
    return wanted;
}

Task<Response> plan_migration(Request request, ContextPtr context, jobs::VmMigrateParams params) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto terms, check_ask(*context, *snapshot, *vm, params));
    BALLAST_CO_TRY(auto wanted, move_of(*context, *vm, params.to));
    const Asked asked{params, terms};
    wanted.copy_disks = params.knobs.copy_disks != DiskCopy::none;
    wanted = without_refused(*context, *snapshot, *vm, asked, std::move(wanted));
    MigrationPlan plan;
    BALLAST_CO_TRY(plan.decision, co_await decision_of(context, wanted));
    plan.to = wanted.only ? wanted.only : plan.decision.chosen;
    if (!plan.to) {
        plan.no_forecast = "no host takes it";
        co_return json_response(200, to_json_text(plan));
    }
    auto forecast = forecast_of(*context, *vm, *plan.to, params, terms);
    const bool chosen = forecast && forecast->choice;
    plan.preflight = preflight_of(*context, *snapshot, *vm, *plan.to,
                                  chosen ? forecast->choice->mode : mode_to_check(params.mode), asked);
    if (forecast)
        plan.forecast = *std::move(forecast);
    else
        plan.no_forecast = forecast.error().message();
    co_return json_response(200, to_json_text(plan));
}

Task<Response> migrate_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const bool dry_run, query_flag(request, "dry_run"));
    BALLAST_CO_TRY(const auto params, co_await parse_body<jobs::VmMigrateParams>(request, context));
    if (dry_run) {
        auto plan = co_await plan_migration(std::move(request), context, params);
        co_return plan;
    }
    const VmCheck check = [context, params](const Snapshot& snapshot, const Vm& vm) -> Result<void> {
        BALLAST_CHECK(check_ask(*context, snapshot, vm, params));
        return {};
    };
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.migrate", {to_json_text(params)}, check);
    co_return answer;
}

/// The words of a forecast's query as the body of a migration, so that both are read by one reader.
Result<jobs::VmMigrateParams> params_of_query(const Request& request) {
    Json body = Json::object();
    for (const std::string_view name : {"to", "mode", "deadline"})
        if (const auto text = request.query_or(name, ""); !text.empty()) body[std::string(name)] = text;
    for (const std::string_view name : {"max_downtime_ms", "max_total_ms", "bandwidth_bytes_per_second",
                                        "post_copy_bandwidth_bytes_per_second", "max_throttle"}) {
        if (request.query_or(name, "").empty()) continue;
        BALLAST_TRY(body["policy"][std::string(name)], query_number(request, name, 0));
    }
    if (!request.query_or("post_copy", "").empty()) {
        BALLAST_TRY(body["policy"]["post_copy"], query_flag(request, "post_copy"));
    }
    return from_json<jobs::VmMigrateParams>(body, "");
}

/// Every host that the scheduler and the preflight accept.
Task<Response> forecast_everywhere(ContextPtr context, std::shared_ptr<const Vm> vm, jobs::VmMigrateParams params,
                                   MigrationTerms terms) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto wanted, move_of(*context, *vm, ""));
    BALLAST_CO_TRY(const auto decision, co_await decision_of(context, wanted));
    ForecastList list;
    for (const auto& verdict : decision.hosts) {
        if (!verdict.accepted) continue;
        const auto checks =
            preflight_of(*context, *snapshot, *vm, verdict.host, mode_to_check(params.mode), {params, terms});
        if (!migration::verdict_of(checks)) continue;
        BALLAST_CO_TRY(auto forecast, forecast_of(*context, *vm, verdict.host, params, terms));
        list.items.push_back({.host = verdict.host, .name = verdict.name, .forecast = std::move(forecast)});
        co_await boost::asio::post(context->loop, boost::asio::use_awaitable);  // others may go first
    }
    co_return json_response(200, to_json_text(list));
}

Task<Response> get_forecast(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto params, params_of_query(request));
    BALLAST_CO_TRY(const auto terms, check_ask(*context, *snapshot, *vm, params));
    if (params.to.empty()) {
        auto list = co_await forecast_everywhere(context, vm, params, terms);
        co_return list;
    }
    BALLAST_CO_TRY(const auto to, find_host(*snapshot, params.to));
    BALLAST_CO_TRY(auto forecast, forecast_of(*context, *vm, to->id, params, terms));
    ForecastList list;
    list.items.push_back({.host = to->id, .name = to->name, .forecast = std::move(forecast)});
    co_return json_response(200, to_json_text(list));
}

Route migrate_route() {
    return {.verb = Verb::post,
            .path = "/api/v1/vms/{id}/migrate",
            .right = Right::operator_,
            .id = "vm_migrate",
            .tag = "vms",
            .summary = "Move it to another host while it runs.",
            .query = {{"dry_run", "boolean",
                       "Only decide, and say why and why not, host by host, and what each mode would cost: 200."}},
            .body = schema<jobs::VmMigrateParams>,
            .takes = Takes::json,
            .body_optional = true,
            .answers = {{202, schema<Job>}, {200, schema<MigrationPlan>}},
            .failures = {Code::failed_precondition, Code::conflict},
            .tagged = true,
            .handler = migrate_vm};
}

Route forecast_route() {
    return {
        .path = "/api/v1/vms/{id}/migration-forecast",
        .right = Right::viewer,
        .id = "vm_migration_forecast",
        .tag = "vms",
        .summary = "What a migration would cost in each mode: to one host, or without `to` to every host that fits.",
        .query = {{"to", "string", "Only this host, by name or id."},
                  {"mode", "string", "auto_, pre_copy, post_copy, hybrid or stop_and_copy; auto_ where it is absent."},
                  {"deadline", "string", "When it must have ended (RFC 3339)."},
                  {"max_downtime_ms", "integer", "Longest pause of the guest."},
                  {"max_total_ms", "integer", "Longest migration."},
                  {"post_copy", "boolean", "Whether it may switch to post-copy."},
                  {"bandwidth_bytes_per_second", "integer", "Cap before a switch."},
                  {"post_copy_bandwidth_bytes_per_second", "integer", "Cap after a switch."},
                  {"max_throttle", "integer", "Per cent of vCPU time that auto-converge may take."}},
        .answers = {{200, schema<ForecastList>}},
        .failures = {Code::failed_precondition, Code::unavailable},
        .handler = get_forecast};
}

}  // namespace

std::vector<Route> migrate_routes() {
    return {migrate_route(), forecast_route()};
}

}  // namespace ballast::api
