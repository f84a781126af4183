#include "daemon/jobs/kinds/relocate.h"

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"

namespace ballast::jobs {

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
    if (!view) co_return co_await run->step("define", act, repeatable());
    const auto snapshot = run->snapshot();
    const drivers::Stamp stamp{
        .cluster = snapshot->cluster, .owner = host, .epoch = snapshot->vms.find(run->vm())->epoch};
    if (view->stamp == stamp && !view->autostart) co_return Result<void>{};
    const Act mark = [run, driver, stamp]() { return driver->compute().stamp(run->vm(), stamp); };
    co_return co_await run->step("stamp", mark, repeatable());
}

}  // namespace ballast::jobs
