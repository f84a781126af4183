#include "daemon/jobs/migrate/offline.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/relocate.h"
#include "daemon/jobs/migrate/move.h"
#include "migration/compatibility.h"
#include "migration/policy.h"
#include "migration/preflight.h"
#include "scheduler/placement.h"

namespace ballast::jobs {
namespace {

scheduler::PlacementRequest request_for(const Vm& vm, const std::optional<HostId>& only) {
    return {.spec = vm.spec, .vm = vm.id, .only = only, .exclude = {*vm.host}, .for_migration = false, .from = {}};
}

Result<void> check_stopped(const Vm& vm) {
    if (vm.state == VmState::stopped || vm.state == VmState::crashed) return {};
    return fail(Code::failed_precondition, "mode: offline moves a VM that does not run, and {} does; use auto",
                vm.name);
}

/// The preflight of a running VM's move, less what only a running one needs.
Result<void> check_offline(const Run& run, const Vm& vm, const HostId& from, const HostId& to) {
    auto checks = check_move(run, vm, from, to, MigrationMode::stop_and_copy);
    std::erase_if(checks, [](const PairCheck& check) { return check.name == "vm_state"; });
    return migration::verdict_of(checks);
}

Result<HostId> choose_target(const RunPtr& run, const Vm& vm, const HostId& from, const std::string& asked) {
    const auto snapshot = run->snapshot();
    auto request = request_for(vm, {});
    if (!asked.empty()) {
        BALLAST_TRY(const auto target, find_host(*snapshot, asked));
        BALLAST_CHECK(check_offline(*run, vm, from, target->id));
        request.only = target->id;
    } else {
        snapshot->hosts.for_each([&](const Host& host) {
            if (!check_offline(*run, vm, from, host.id)) request.exclude.push_back(host.id);
        });
    }
    const auto decision =
        scheduler::decide(*snapshot, request, std::hash<std::string>{}(run->id().str()), run->services().preferences());
    if (!decision.chosen) return std::unexpected(scheduler::refusal(decision, vm.name));
    return *decision.chosen;
}

/// The new owner is in the store before either host is touched (SAFETY.md 7).
Result<void> change_owner(store::Transaction& transaction, const RunPtr& run, const HostId& from, const HostId& to) {
    BALLAST_TRY(Vm vm, vm_of(transaction, run->vm()));
    if (vm.host != from) return fail(Code::conflict, "VM {} moved meanwhile", vm.name);
    BALLAST_CHECK(check_stopped(vm));
    BALLAST_CHECK(keep_memo(transaction, run->id(), dump(Json{{"from", from.str()}, {"to", to.str()}})));
    vm.host = to;
    ++vm.epoch;
    const std::string message =
        fmt::format("{} owns VM {} now (epoch {})", host_name(transaction.snapshot(), to), vm.name, vm.epoch);
    transaction.put(std::move(vm), {"vm.owner_changed", message});
    return {};
}

Task<> claim(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmMigrateParams>(run->params(), ""));
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_CHECK(check_stopped(*vm));
    BALLAST_CO_CHECK(migration::check_combination(params.mode, params.knobs, {}, {}));
    BALLAST_CO_TRY(const HostId from, owner_of(*vm));
    for (const auto& host : run->snapshot()->hosts.rows())
        if (params.to.empty() || params.to == host->name || params.to == host->id.str())
            BALLAST_CO_CHECK(co_await refresh_pair(run, from, host->id));
    BALLAST_CO_TRY(const HostId to, choose_target(run, *vm, from, params.to));
    BALLAST_CO_TRY(const auto old_driver, run->services().hosts->reachable(from));
    BALLAST_CO_TRY(const auto new_driver, run->services().hosts->reachable(to));
    static_cast<void>(old_driver);
    static_cast<void>(new_driver);
    co_return co_await run->done(
        "claim", fmt::format("to {}", host_name(*run->snapshot(), to)),
        [run, from, to](store::Transaction& transaction) { return change_owner(transaction, run, from, to); });
}

}  // namespace

Task<Json> move_offline(RunPtr run) {
    if (!run->is_done("claim")) {
        BALLAST_CO_CHECK(go_on(*run));
        BALLAST_CO_CHECK(co_await claim(run));
    }
    BALLAST_CO_TRY(const Json memo, parse_json(run->row()->memo.text));
    const HostId from(memo.at("from").get<std::string>());
    const HostId to(memo.at("to").get<std::string>());
    BALLAST_CO_TRY(const auto driver, co_await run->host(to));
    run->report(40, "defining on the target");
    BALLAST_CO_CHECK(co_await define_on(run, driver, to));
    run->report(70, "removing the definition of the source");
    BALLAST_CO_TRY(const auto source, co_await run->host(from));
    static_cast<void>(source);
    BALLAST_CO_CHECK(co_await leave_old_host(run, from));
    const auto snapshot = run->snapshot();
    co_return Json{{"vm", run->vm().str()},
                   {"from", host_name(*snapshot, from)},
                   {"to", host_name(*snapshot, to)},
                   {"mode", "offline"}};
}

}  // namespace ballast::jobs
