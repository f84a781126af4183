#include "daemon/api/routes/placing.h"

#include "core/try.h"
#include "daemon/api/commit.h"
#include "daemon/api/pool.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/types.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/reservations.h"

namespace ballast::api {

Result<scheduler::PlacementRequest> placement_of(const Context& context, VmSpec spec, std::string_view host) {
    for (auto& disk : spec.disks)
        if (disk.pool.empty()) disk.pool = context.default_pool;
    scheduler::PlacementRequest wanted;
    wanted.spec = std::move(spec);
    if (host.empty()) return wanted;
    BALLAST_TRY(const auto only, find_host(*context.store->snapshot(), host));
    wanted.only = only->id;
    return wanted;
}

Result<scheduler::PlacementRequest> move_of(const Context& context, const Vm& vm, std::string_view to) {
    BALLAST_TRY(auto wanted, placement_of(context, vm.spec, to));
    wanted.spec = vm.spec;  // its disks lie where they lie, those of an adopted VM in no pool that a spec names
    wanted.vm = vm.id;
    wanted.for_migration = vm.host.has_value();
    wanted.from = vm.host;
    return wanted;
}

Result<void> check_policy(const Context& context, const VmPlacement& placement) {
    const scheduler::Preferences preferences = context.preferences();
    const auto found = preferences.policies.find(placement.policy);
    if (found) return {};
    return fail(Code::invalid_argument, "spec.placement.policy: {}", found.error().message());
}

Task<Response> decide(ContextPtr context, scheduler::PlacementRequest wanted, std::shared_ptr<const Claim> place) {
    auto work = [snapshot = context->store->snapshot(), wanted, place,
                 preferences = context->preferences()]() -> Result<std::string> {
        Snapshot thought = *snapshot;
        if (place) thought.claims.erase(place->id);
        return to_json_text(scheduler::explain(thought, wanted, snapshot->seq, preferences));
    };
    BALLAST_CO_TRY(auto text, co_await on_pool<std::string>(context->cpu, std::move(work)));
    co_return json_response(200, std::move(text));
}

namespace {

Task<Response> post_placement(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<PlacementAsk>(std::move(request), context));
    BALLAST_CO_CHECK(check(ask.spec));
    BALLAST_CO_CHECK(check_policy(*context, ask.spec.placement));
    BALLAST_CO_TRY(const auto wanted, placement_of(*context, ask.spec, ask.host));
    auto decision = co_await decide(context, wanted);
    co_return decision;
}

Task<Response> post_batch(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<jobs::BatchAsk>(std::move(request), context));
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(auto members, jobs::batch_of(*snapshot, ask.vms, context->default_pool));
    for (const auto& member : members) BALLAST_CO_CHECK(check_policy(*context, member.request.spec.placement));
    auto work = [snapshot, members = std::move(members),
                 preferences = context->preferences()]() -> Result<std::string> {
        return to_json_text(scheduler::plan_batch(*snapshot, members, snapshot->seq, preferences));
    };
    BALLAST_CO_TRY(auto text, co_await on_pool<std::string>(context->cpu, std::move(work)));
    co_return json_response(200, std::move(text));
}

Task<Response> get_vm_placement(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    BALLAST_CO_TRY(const auto wanted, move_of(*context, *vm, request.query_or("to", "")));
    auto decision = co_await decide(context, wanted);
    co_return decision;
}

}  // namespace

std::vector<Route> placement_routes() {
    return {
        {.verb = Verb::post,
         .path = "/api/v1/placements",
         .right = Right::viewer,
         .id = "placement_explain",
         .tag = "placement",
         .summary =
             "Where a VM of this spec would run, why not elsewhere, and the smallest change that would make the best "
             "refused host fit. Nothing is changed.",
         .body = schema<PlacementAsk>,
         .takes = Takes::json,
         .answers = {{200, schema<scheduler::Decision>}},
         .failures = {Code::not_found},
         .durable = false,
         .handler = post_placement},
        {.verb = Verb::post,
         .path = "/api/v1/placements/batch",
         .right = Right::viewer,
         .id = "placement_batch",
         .tag = "placement",
         .summary = "Where these VMs would run if all of them came at once, or which of them finds no host beside the "
                    "others, and why. Nothing is changed.",
         .body = schema<jobs::BatchAsk>,
         .takes = Takes::json,
         .answers = {{200, schema<scheduler::BatchDecision>}},
         .failures = {Code::not_found},
         .durable = false,
         .handler = post_batch},
        {.path = "/api/v1/vms/{id}/placement",
         .right = Right::viewer,
         .id = "vm_placement",
         .tag = "placement",
         .summary = "Where this VM could go, why not elsewhere, and the smallest change that would open another host.",
         .query = {{"to", "string", "Only this host, by name or id."}},
         .answers = {{200, schema<scheduler::Decision>}},
         .handler = get_vm_placement},
    };
}

}  // namespace ballast::api
