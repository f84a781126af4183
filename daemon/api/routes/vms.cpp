// Virtual machines: lists, labels and policies, adoption, and the verbs that become jobs.
#include <nlohmann/json.hpp>

#include "daemon/api/checks.h"
#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/routes/placing.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/reservations.h"

namespace ballast::api {
namespace {

const ListOf vm_list{"vms", {"name", "host", "state", "managed", "vcpus"}};

Task<Response> list_vms(Request request, ContextPtr context) {
    return list_rows<Vm>(std::move(request), std::move(context), &vm_list, &Snapshot::vms);
}

Task<Response> get_vm(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    co_return row_response(request, context, vm);
}

Task<Response> get_stats(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    const auto stats = context->stats ? context->stats("vm", vm->id.str()) : std::nullopt;
    if (!stats)
        co_return fail(Code::unavailable, "VM {} has no statistics; they come with a sweep while it runs", vm->name);
    co_return json_response(200, stats->text);
}

Task<Response> create_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const bool dry_run, query_flag(request, "dry_run"));
    BALLAST_CO_TRY(const auto params, co_await parse_body<jobs::VmCreateParams>(request, context));
    BALLAST_CO_CHECK(check_name("VM", params.name));
    BALLAST_CO_CHECK(check(params.spec));
    BALLAST_CO_CHECK(check_policy(*context, params.spec.placement));
    BALLAST_CO_TRY(auto wanted, placement_of(*context, params.spec, params.host));
    if (dry_run) {
        std::shared_ptr<const Claim> place;
        if (!params.reservation.empty()) {
            BALLAST_CO_TRY(place, jobs::find_place(*context->store->snapshot(), params, context->clock->now()));
            wanted.only = place->host;
        }
        auto decision = co_await decide(context, wanted, place);
        co_return decision;
    }
    jobs::JobRequest job{
        .kind = "vm.create", .vm = {}, .host = {}, .subject = params.name, .params = {to_json_text(params)}};
    auto answer = co_await submit_job(std::move(request), context, std::move(job));
    co_return answer;
}

Task<Response> patch_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto patch, co_await parse_body<VmPatch>(request, context));
    if (patch.spec.placement) BALLAST_CO_CHECK(check_policy(*context, *patch.spec.placement));
    auto work = [request, context, patch](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto vm, find_vm(transaction.snapshot(), request.param("id")));
        if (auto stale = refuse_stale(request, context, "VM " + vm->name, vm)) return *std::move(stale);
        BALLAST_TRY(auto next, plan_patch(*vm, patch));
        if (next != *vm)
            transaction.put(std::move(next),
                            {"vm.changed", fmt::format("labels or policy of VM {} were changed", vm->name)});
        return row_response(request, context, transaction.snapshot().vms.find_ptr(vm->id));
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> start_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::VmStartParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.start", std::move(params));
    co_return answer;
}

Task<Response> shutdown_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::VmShutdownParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.shutdown", std::move(params));
    co_return answer;
}

Task<Response> reboot_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::NoParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.reboot", std::move(params));
    co_return answer;
}

Task<Response> destroy_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::NoParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.destroy", std::move(params));
    co_return answer;
}

Task<Response> save_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::NoParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.save", std::move(params));
    co_return answer;
}

Task<Response> delete_vm(Request request, ContextPtr context) {
    BALLAST_CO_TRY(auto params, co_await parse_params<jobs::VmDeleteParams>(request, context));
    auto answer = co_await submit_vm_job(std::move(request), context, "vm.delete", std::move(params));
    co_return answer;
}

/// The VMs that are meant: each name, or every observed VM with all the labels.
Result<std::vector<std::shared_ptr<const Vm>>> find_meant(const Snapshot& snapshot, const AdoptAsk& ask) {
    if (ask.names.empty() == ask.labels.empty())
        return fail(Code::invalid_argument, "give either `names` or `labels` of the VMs to adopt");
    std::vector<std::shared_ptr<const Vm>> meant;
    for (const auto& name : ask.names) {
        BALLAST_TRY(meant.emplace_back(), find_vm(snapshot, name));
    }
    if (!meant.empty()) return meant;
    meant = snapshot.vms.select([&](const Vm& vm) {
        return !vm.managed && std::ranges::all_of(ask.labels, [&](const auto& label) {
            const auto at = vm.spec.labels.find(label.first);
            return at != vm.spec.labels.end() && at->second == label.second;
        });
    });
    if (meant.empty()) return fail(Code::not_found, "no observed VM carries these labels");
    std::ranges::sort(meant, {}, [](const auto& vm) { return vm->name; });
    return meant;
}

/// Its definition is not rewritten: only Ballast's own row says from now on that it may be acted upon (SAFETY.md 1).
Vm adopted(const Vm& vm) {
    Vm next = vm;
    next.managed = true;
    next.spec.memory_policy = MemoryPolicy::none;
    next.spec.moves = MovePolicy::ask;
    return next;
}

Task<Response> adopt_vms(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<AdoptAsk>(request, context));
    auto work = [context, ask](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto meant, find_meant(transaction.snapshot(), ask));
        for (const auto& vm : meant) {
            if (vm->managed) continue;
            BALLAST_CHECK(check_adopt(transaction.snapshot(), *vm));
            transaction.put(adopted(*vm),
                            {"vm.adopted", fmt::format("VM {} was adopted; its definition is unchanged", vm->name)});
        }
        std::vector<Text> items;
        for (const auto& vm : meant)
            items.push_back(context->rows->render(transaction.snapshot().vms.find_ptr(vm->id)));
        return page_response(items, "");
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Route vm_verb(std::string verb, std::string summary, Handler handler, SchemaMaker body) {
    return {.verb = Verb::post,
            .path = "/api/v1/vms/{id}/" + verb,
            .right = Right::operator_,
            .id = "vm_" + verb,
            .tag = "vms",
            .summary = std::move(summary),
            .body = body,
            .takes = Takes::json,
            .body_optional = true,
            .answers = {{202, schema<Job>}},
            .failures = {Code::failed_precondition, Code::conflict},
            .tagged = true,
            .handler = std::move(handler)};
}

const QueryParameter dry_run{"dry_run", "boolean",
                             "Only decide, and say why and why not, host by host: 200 with the decision."};

}  // namespace

std::vector<Route> vm_routes() {
    Route removal =
        vm_verb("delete", "Delete it: what goes with it the body says.", delete_vm, schema<jobs::VmDeleteParams>);
    Route removal_by_verb = removal;
    removal_by_verb.verb = Verb::delete_;
    removal_by_verb.path = "/api/v1/vms/{id}";
    removal_by_verb.id = "vm_remove";
    return {
        {.path = "/api/v1/vms",
         .right = Right::viewer,
         .id = "vm_list",
         .tag = "vms",
         .summary = "Virtual machines.",
         .query = list_parameters(vm_list),
         .answers = {{200, page_schema<Vm>}},
         .handler = list_vms},
        {.path = "/api/v1/vms/{id}",
         .right = Right::viewer,
         .id = "vm_get",
         .tag = "vms",
         .summary = "One virtual machine.",
         .answers = {{200, schema<Vm>}},
         .failures = {Code::conflict},
         .tagged = true,
         .handler = get_vm},
        {.path = "/api/v1/vms/{id}/stats",
         .right = Right::viewer,
         .id = "vm_stats",
         .tag = "vms",
         .summary = "Its latest statistics.",
         .answers = {{200, nullptr}},
         .failures = {Code::unavailable},
         .handler = get_stats},
        {.verb = Verb::post,
         .path = "/api/v1/vms",
         .right = Right::operator_,
         .id = "vm_create",
         .tag = "vms",
         .summary = "Create a VM, and start it unless told otherwise.",
         .query = {dry_run},
         .body = schema<jobs::VmCreateParams>,
         .takes = Takes::json,
         .answers = {{202, schema<Job>}, {200, schema<scheduler::Decision>}},
         .failures = {Code::not_found, Code::already_exists, Code::conflict, Code::failed_precondition,
                      Code::resource_exhausted},
         .handler = create_vm},
        {.verb = Verb::patch,
         .path = "/api/v1/vms/{id}",
         .right = Right::operator_,
         .id = "vm_patch",
         .tag = "vms",
         .summary = "Change labels and policies; its definition stays.",
         .body = schema<VmPatch>,
         .takes = Takes::json,
         .answers = {{200, schema<Vm>}},
         .tagged = true,
         .handler = patch_vm},
        {.verb = Verb::post,
         .path = "/api/v1/vms/adopt",
         .right = Right::operator_,
         .id = "vm_adopt",
         .tag = "vms",
         .summary = "Let Ballast act on VMs that were there before, by name or label.",
         .body = schema<AdoptAsk>,
         .takes = Takes::json,
         .answers = {{200, page_schema<Vm>}},
         .failures = {Code::not_found, Code::failed_precondition},
         .handler = adopt_vms},
        vm_verb("start", "Start it.", start_vm, schema<jobs::VmStartParams>),
        vm_verb("shutdown", "Ask its guest to shut down (ACPI).", shutdown_vm, schema<jobs::VmShutdownParams>),
        vm_verb("reboot", "Restart its guest.", reboot_vm, schema<jobs::NoParams>),
        vm_verb("destroy", "Cut it off, as by pulling its plug.", destroy_vm, schema<jobs::NoParams>),
        vm_verb("save", "Write its running state to its host's disk; the next start goes on from there.", save_vm,
                schema<jobs::NoParams>),
        removal,
        removal_by_verb,
    };
}

}  // namespace ballast::api
