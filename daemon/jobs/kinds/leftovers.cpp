#include "daemon/jobs/kinds/leftovers.h"

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"

namespace ballast::jobs {
namespace {

std::vector<HostId> others(const Snapshot& snapshot, const VmId& vm, const std::optional<HostId>& owner) {
    std::vector<HostId> found;
    const Vm* row = snapshot.vms.find(vm);
    if (row == nullptr) return found;
    for (const auto& one : row->definitions) {
        const Host* host = snapshot.hosts.find(one.host);
        const bool counts = host != nullptr && host->state != HostState::removed && !host->confirmed_dead;
        if (counts && (!owner || one.host != *owner)) found.push_back(one.host);
    }
    return found;
}

/// Why the definition must stay; success: it is Ballast's own old one, and off.
Result<void> check_is_ours(const Snapshot& snapshot, const Vm& vm, const Host& host, const drivers::DomainView& view) {
    const auto refuse = [&](std::string_view why) {
        return fail(
            Code::failed_precondition,
            "VM {} is also defined on {}, where it {}; nothing was deleted. If that copy is not needed, remove it "
            "with `virsh -c {} undefine {}`, then delete the VM",
            vm.name, host.name, why, host.uri, vm.id);
    };
    if (is_active(view.state)) return refuse("runs");
    if (!host.managed) return refuse("is only observed");
    if (!view.bound_by.empty()) return refuse(fmt::format("has {}", fmt::join(view.bound_by, ", ")));
    if (!view.stamp || view.stamp->cluster != snapshot.cluster) return refuse("does not carry this cluster's stamp");
    if (view.stamp->epoch > vm.epoch) return refuse("carries a higher epoch");
    return {};
}

Task<std::shared_ptr<drivers::HostDriver>> ask(RunPtr run, HostId host) {
    auto driver = run->services().hosts->reachable(host);
    if (driver) co_return *driver;
    const std::string name = host_name(*run->snapshot(), host);
    co_return std::unexpected(
        Error(Code::unavailable,
              fmt::format(
                  "VM {} is also defined on {}, which can't be asked now; nothing was deleted. Wait for the host, "
                  "or run `ballast host confirm-dead {}` if it is lost for good",
                  run->row()->subject, name, name))
            .caused_by(driver.error()));
}

/// On a host that is not the owner: whether the definition is there and may go.
Task<bool> may_go(RunPtr run, HostId host, std::shared_ptr<drivers::HostDriver> driver) {
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, run->vm()));
    if (!view) co_return false;
    const auto snapshot = run->snapshot();
    const auto vm = snapshot->vms.find_ptr(run->vm());
    const auto row = snapshot->hosts.find_ptr(host);
    if (!vm || !row) co_return false;
    BALLAST_CO_CHECK(check_is_ours(*snapshot, *vm, *row, *view));
    co_return true;
}

}  // namespace

Task<> check_leftovers(RunPtr run, std::optional<HostId> owner) {
    for (const auto& host : others(*run->snapshot(), run->vm(), owner)) {
        BALLAST_CO_TRY(const auto driver, co_await ask(run, host));
        BALLAST_CO_CHECK(co_await may_go(run, host, driver));
    }
    co_return Result<void>{};
}

Task<> remove_leftovers(RunPtr run, std::optional<HostId> owner) {
    for (const auto& host : others(*run->snapshot(), run->vm(), owner)) {
        BALLAST_CO_TRY(const auto driver, co_await run->host(host));
        const Act act = [run, host, driver]() -> Task<> {
            BALLAST_CO_TRY(const bool goes, co_await may_go(run, host, driver));
            if (!goes) co_return Result<void>{};
            const Result<void> removed = co_await driver->compute().undefine(run->vm());
            co_return absent_is_fine(removed);
        };
        BALLAST_CO_CHECK(co_await run->step("undefine:" + host_name(*run->snapshot(), host), act, repeatable()));
    }
    co_return Result<void>{};
}

}  // namespace ballast::jobs
