#include "daemon/jobs/kinds/relocate.h"

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/reconcile/merge.h"

namespace ballast::jobs {
namespace {

/// Whether the definition waits for this start to take on page merging as the spec has it: Ballast's own definition
/// that differs in nothing else, of a VM that has no state there.
bool waits_for_start(const Vm& vm, const drivers::DomainView& view) {
    return vm.created_by_ballast && view.spec.overcommit.merge != vm.spec.overcommit.merge && view.bound_by.empty() &&
           reconcile::spec_difference(vm.spec, view.spec).empty();
}

}  // namespace

Task<> leave_old_host(RunPtr run, HostId old) {
    const auto snapshot = run->snapshot();
    const Host* host = snapshot->hosts.find(old);
    if (host == nullptr || host->confirmed_dead) co_return Result<void>{};
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(old));
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
    if (!view) co_return Result<void>{};
    if (is_active(view->state))
        co_return fail(Code::failed_precondition, "VM {} runs on {}; migrate it instead", view->name, host->name);
    if (!view->bound_by.empty())
        co_return fail(Code::failed_precondition, "VM {} is bound to {} by {}; resolve that first", view->name,
                       host->name, fmt::join(view->bound_by, ", "));
    const Act act = [run, driver]() -> Task<> {
        const Result<void> removed = co_await driver->compute().undefine(run->vm());
        co_return absent_is_fine(removed);
    };
    co_return co_await run->step("undefine_old", act, repeatable());
}

Task<> define_on(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host) {
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
    const Act act = [run, driver, host]() {
        const auto snapshot = run->snapshot();
        return driver->compute().define(definition_of(*snapshot, *snapshot->vms.find(run->vm()), host));
    };
    const auto snapshot = run->snapshot();
    if (!view || waits_for_start(*snapshot->vms.find(run->vm()), *view))
        co_return co_await run->step("define", act, repeatable());
    const drivers::Stamp stamp{
        .cluster = snapshot->cluster, .owner = host, .epoch = snapshot->vms.find(run->vm())->epoch};
    if (view->stamp == stamp && !view->autostart) co_return Result<void>{};
    const Act mark = [run, driver, stamp]() { return driver->compute().stamp(run->vm(), stamp); };
    co_return co_await run->step("stamp", mark, repeatable());
}

}  // namespace ballast::jobs
