// vm.start, vm.shutdown, vm.reboot, vm.destroy, vm.save.
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/kinds/placing.h"
#include "daemon/jobs/kinds/relocate.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/placer.h"

namespace ballast::jobs {
namespace {

Json on_host(const Run& run, const HostId& host) {
    return Json{{"vm", run.vm().str()}, {"host", host_name(*run.snapshot(), host)}};
}

scheduler::PlacementRequest request_for(const Vm& vm, const HostId& host) {
    return {.spec = vm.spec, .vm = vm.id, .only = host, .exclude = {}, .for_migration = false, .from = {}};
}

/// Room on the host for a VM that is to start there, and the state `starting`, in one transaction. A new owner raises
/// the epoch (SAFETY.md 7).
Result<void> claim_start(store::Transaction& transaction, const JobId& job, const VmId& id,
                         const scheduler::Basis& basis) {
    const HostId& host = basis.host;
    BALLAST_TRY(Vm vm, vm_of(transaction, id));
    const scheduler::PlacementRequest request = request_for(vm, host);
    BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), basis, request));
    const std::string where = host_name(transaction.snapshot(), host);
    transaction.put(scheduler::make_claim(transaction.snapshot(), host, request, job, transaction.now()),
                    {"claim.made", fmt::format("{} claims {} on {}", vm.name, vm.spec.memory, where)});
    if (vm.host != host) ++vm.epoch;
    vm.host = host;
    set_state(transaction, std::move(vm), VmState::starting, fmt::format("starting on {}", where), "vm.starting");
    return {};
}

/// Refuses what only a look at the VM shows.
Result<void> check_startable(const Vm& vm) {
    if (vm.state == VmState::running || vm.state == VmState::paused)
        return fail(Code::failed_precondition, "VM {} is {} already", vm.name,
                    vm.state == VmState::running ? "running" : "paused");
    return {};
}

Result<HostId> wanted_host(const Snapshot& snapshot, const Vm& vm, const std::string& asked) {
    if (asked.empty()) return owner_of(vm);
    BALLAST_TRY(const auto host, find_host(snapshot, asked));
    return host->id;
}

/// Ballast's own start (autostart) is asked for while its host is still being read: it waits for that a while, and
/// stands back if another definition has come up meanwhile (SAFETY.md 8).
Task<> await_own_host(RunPtr run) {
    if (run->row()->actor != "ballast") co_return Result<void>{};
    const auto end = std::chrono::steady_clock::now() + run->services().settings.start_timeout;
    while (!run->services().hosts->reachable(run->row()->host) && std::chrono::steady_clock::now() < end) {
        BALLAST_CO_CHECK(go_on(*run));
        run->report(0, "waits for its host");
        BALLAST_CO_CHECK(co_await run->pause(run->services().settings.retry_pause));
    }
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm || (vm->definitions.size() == 1 && vm->host == run->row()->host)) co_return Result<void>{};
    co_return fail(Code::failed_precondition,
                   "VM {} is no longer defined on its own host alone, so it is not started by itself; look at its "
                   "alerts, then run `ballast vm start {}`",
                   vm->name, vm->name);
}

/// A host that does not answer for a moment is waited for: libvirt lets everybody wait while it ends a QEMU that hangs,
/// and just then a VM whose running state was lost is to start again.
Task<> await_slow_host(RunPtr run, HostId host) {
    const auto is_slow = [&run, &host] {
        const auto row = run->snapshot()->hosts.find_ptr(host);
        return row && row->state == HostState::slow;
    };
    const auto end = std::chrono::steady_clock::now() + run->services().settings.start_timeout;
    while (is_slow() && std::chrono::steady_clock::now() < end) {
        BALLAST_CO_CHECK(go_on(*run));
        run->report(0, "waits for its host to answer");
        BALLAST_CO_CHECK(co_await run->pause(run->services().settings.retry_pause));
    }
    co_return Result<void>{};
}

/// Decides where, and writes claim and state; the former host is kept in the memo so that a restart knows it.
Task<> claim_for_start(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmStartParams>(run->params(), ""));
    BALLAST_CO_CHECK(co_await await_own_host(run));
    const auto snapshot = run->snapshot();
    const auto vm = snapshot->vms.find_ptr(run->vm());
    if (!vm) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_CHECK(check_startable(*vm));
    BALLAST_CO_TRY(const HostId host, wanted_host(*snapshot, *vm, params.host));
    BALLAST_CO_CHECK(co_await await_slow_host(run, host));
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(host));
    const Json memo{{"old_host", vm->host ? vm->host->str() : ""}};
    const scheduler::Basis basis = run->services().placer->basis_of(host, vm->spec);
    co_return co_await run->done("claim", fmt::format("on {}", host_name(*snapshot, host)),
                                 [run, basis, memo](store::Transaction& transaction) -> Result<void> {
                                     BALLAST_CHECK(keep_memo(transaction, run->id(), dump(memo)));
                                     return claim_start(transaction, run->id(), run->vm(), basis);
                                 });
}

HostId old_host(const Run& run) {
    const auto memo = parse_json(run.row()->memo.text);
    return HostId(memo && memo->is_object() ? memo->value("old_host", std::string()) : std::string());
}

}  // namespace

Task<Json> start_vm(RunPtr run) {
    if (!run->is_done("claim")) {
        BALLAST_CO_CHECK(go_on(*run));
        BALLAST_CO_CHECK(co_await claim_for_start(run));
    }
    BALLAST_CO_TRY(const HostId host, owner_of(*run->snapshot()->vms.find(run->vm())));
    const HostId old = old_host(*run);
    if (!old.empty() && old != host) BALLAST_CO_CHECK(co_await leave_old_host(run, old));
    BALLAST_CO_TRY(const auto driver, co_await run->host(host));
    run->report(30, "defining");
    BALLAST_CO_CHECK(co_await define_on(run, driver, host));
    run->report(60, "starting");
    BALLAST_CO_CHECK(co_await start_on(run, driver, host));
    co_return on_host(*run, host);
}

namespace {

struct Running {
    HostId host;
    std::shared_ptr<drivers::HostDriver> driver;
    bool active = false;
};

/// Where the VM is, and whether it runs there.
Task<Running> find_running(RunPtr run) {
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (!vm) co_return fail(Code::not_found, "VM {} is gone from the inventory", run->vm());
    BALLAST_CO_TRY(const HostId host, owner_of(*vm));
    BALLAST_CO_TRY(const auto driver, co_await run->host(host));
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
    co_return Running{.host = host, .driver = driver, .active = view && is_active(view->state)};
}

Task<> destroy_on(RunPtr run, std::shared_ptr<drivers::HostDriver> driver) {
    const Act act = [run, driver]() -> Task<> {
        const Result<void> ended = co_await driver->compute().destroy(run->vm());
        co_return absent_is_fine(ended);
    };
    co_return co_await run->step("destroy", act, is_off_on(driver, run->vm()));
}

/// Waits until the guest is off. False: it was not within the time.
Task<bool> wait_until_off(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, Timestamp deadline) {
    for (;;) {
        BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
        if (!view || !is_active(view->state)) co_return true;
        BALLAST_CO_CHECK(go_on(*run));
        if (run->services().clock->now() >= deadline) co_return false;
        run->report(50, "waiting for the guest to shut down");
        BALLAST_CO_CHECK(co_await run->pause(run->services().settings.retry_pause));
    }
}

Task<> mark_stopping(RunPtr run) {
    return run->commit([id = run->vm()](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(Vm vm, vm_of(transaction, id));
        set_state(transaction, std::move(vm), VmState::stopping, "asked to shut down", "vm.stopping");
        return {};
    });
}

}  // namespace

Task<Json> shut_down_vm(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmShutdownParams>(run->params(), ""));
    BALLAST_CO_TRY(const Running at, co_await find_running(run));
    if (!at.active) co_return on_host(*run, at.host);
    BALLAST_CO_CHECK(co_await mark_stopping(run));
    const Act ask = [run, at]() { return at.driver->compute().shutdown(run->vm()); };
    BALLAST_CO_CHECK(co_await run->step("shutdown", ask, is_off_on(at.driver, run->vm())));
    const Timestamp asked = run->row()->started.value_or(run->services().clock->now());
    BALLAST_CO_TRY(const bool off, co_await wait_until_off(run, at.driver, asked + params.timeout));
    if (!off && !params.force)
        co_return fail(
            Code::deadline_exceeded,
            "VM {} did not shut down within {}; it still runs. `--force` ends it, `ballast vm destroy` does so at once",
            run->row()->subject, to_string(Milliseconds(params.timeout)));
    if (!off) BALLAST_CO_CHECK(co_await destroy_on(run, at.driver));
    Json result = on_host(*run, at.host);
    result["forced"] = !off;
    co_return result;
}

Task<Json> reboot_vm(RunPtr run) {
    BALLAST_CO_TRY(const Running at, co_await find_running(run));
    if (!at.active)
        co_return fail(Code::failed_precondition, "VM {} does not run; start it with `ballast vm start {}`",
                       run->row()->subject, run->row()->subject);
    if (run->is_intended("reboot"))
        co_return on_host(*run, at.host);  // asked before a restart of the daemon: a second reboot is worse than none
    const Act act = [run, at]() { return at.driver->compute().reboot(run->vm()); };
    BALLAST_CO_CHECK(co_await run->step("reboot", act, repeatable()));
    co_return on_host(*run, at.host);
}

Task<Json> destroy_vm(RunPtr run) {
    BALLAST_CO_TRY(const Running at, co_await find_running(run));
    if (at.active) BALLAST_CO_CHECK(co_await destroy_on(run, at.driver));
    co_return on_host(*run, at.host);
}

/// Its running state goes to the host's disk; the next start goes on from there.
Task<Json> save_vm(RunPtr run) {
    BALLAST_CO_TRY(const Running at, co_await find_running(run));
    if (!at.active) co_return on_host(*run, at.host);
    const Act act = [run, at]() { return at.driver->compute().save(run->vm()); };
    BALLAST_CO_CHECK(co_await run->step("save", act, is_off_on(at.driver, run->vm())));
    co_return on_host(*run, at.host);
}

}  // namespace ballast::jobs
