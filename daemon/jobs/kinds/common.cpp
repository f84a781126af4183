#include "daemon/jobs/kinds/common.h"

#include <algorithm>
#include <chrono>

#include "core/try.h"

namespace ballast::jobs {

Task<std::optional<drivers::DomainView>> look_at(std::shared_ptr<drivers::HostDriver> driver, VmId vm) {
    auto view = co_await driver->compute().read_domain(vm);
    if (view) co_return std::optional(*std::move(view));
    if (view.error().code() == Code::not_found) co_return std::optional<drivers::DomainView>{};
    co_return std::unexpected(view.error());
}

Result<void> absent_is_fine(Result<void> outcome) {
    if (!outcome && outcome.error().code() == Code::not_found) return {};
    return outcome;
}

Task<> end_and_undefine(std::shared_ptr<drivers::HostDriver> driver, VmId vm) {
    BALLAST_CO_TRY(const auto view, co_await look_at(driver, vm));
    if (!view) co_return Result<void>{};
    if (is_active(view->state)) {
        const Result<void> ended = co_await driver->compute().destroy(vm);
        BALLAST_CO_CHECK(absent_is_fine(ended));
    }
    if (!view->persistent) co_return Result<void>{};
    const Result<void> removed = co_await driver->compute().undefine(vm);
    co_return absent_is_fine(removed);
}

drivers::DomainDefinition definition_of(const Snapshot& snapshot, const Vm& vm, const HostId& host) {
    const Host* row = snapshot.hosts.find(host);
    return {.id = vm.id,
            .name = vm.name,
            .spec = vm.spec,
            .stamp = {.cluster = snapshot.cluster, .owner = host, .epoch = vm.epoch},
            .accelerator = row != nullptr ? row->settings.accelerator : Accelerator::auto_};
}

Result<void> check_known_disks(const Vm& vm, const drivers::DomainView& view) {
    for (const DiskSpec& disk : view.spec.disks) {
        const bool known = std::ranges::find(vm.spec.disks, disk.path, &DiskSpec::path) != vm.spec.disks.end();
        if (known || disk.path.empty()) continue;
        return fail(Code::failed_precondition,
                    "disk {} ({}) of VM {} was attached outside Ballast, so nothing proves that another host sees it; "
                    "virsh detach-disk {} {} --live --config, then move the VM",
                    disk.target, disk.path, vm.name, vm.name, disk.target);
    }
    return {};
}

Holds repeatable() {
    return []() -> Task<bool> { co_return false; };
}

Holds is_active_on(std::shared_ptr<drivers::HostDriver> driver, VmId vm) {
    return [driver, vm]() -> Task<bool> {
        BALLAST_CO_TRY(const auto view, co_await look_at(driver, vm));
        co_return view&& is_active(view->state);
    };
}

Holds is_off_on(std::shared_ptr<drivers::HostDriver> driver, VmId vm) {
    return [driver, vm]() -> Task<bool> {
        BALLAST_CO_TRY(const auto view, co_await look_at(driver, vm));
        co_return !view || !is_active(view->state);
    };
}

Result<HostId> owner_of(const Vm& vm) {
    if (vm.host) return *vm.host;
    return fail(Code::failed_precondition,
                "VM {} is not defined on any host ({}); start it on one with `ballast vm start {} --host …`", vm.name,
                vm.state_reason, vm.name);
}

namespace {

/// A host that does not answer for a moment is waited for, too.
Task<> await_room(RunPtr run, HostId host) {
    if (!run->services().room_for) co_return Result<void>{};
    const Milliseconds longest = run->services().settings.room_timeout;
    const auto end = std::chrono::steady_clock::now() + longest;
    for (;;) {
        const auto asked = co_await run->services().room_for(run->vm(), host);
        const std::string why = asked ? *asked : asked.error().chain();
        if (why.empty()) co_return Result<void>{};
        BALLAST_CO_CHECK(go_on(*run));
        if (std::chrono::steady_clock::now() >= end) {
            const auto snapshot = run->snapshot();
            const Host* row = snapshot->hosts.find(host);
            const Vm* vm = snapshot->vms.find(run->vm());
            co_return fail(
                Code::resource_exhausted,
                "VM {} can't be started on {}: {} (waited {}); stop or move a VM there, or choose another host",
                vm != nullptr ? vm->name : run->vm().str(), row != nullptr ? row->name : host.str(), why,
                to_string(longest));
        }
        run->report(70, "waits for memory: " + why);
        BALLAST_CO_CHECK(co_await run->sleep(run->services().settings.retry_pause));
    }
}

}  // namespace

Task<> start_on(RunPtr run, std::shared_ptr<drivers::HostDriver> driver, HostId host) {
    if (!run->is_done("start")) BALLAST_CO_CHECK(co_await await_room(run, host));
    const Act act = [run, driver]() { return driver->compute().start(run->vm()); };
    co_return co_await run->step("start", act, is_active_on(driver, run->vm()));
}

Result<void> go_on(const Run& run) {
    if (!run.cancel_requested()) return {};
    return fail(Code::cancelled, "cancelled on request");
}

void set_state(store::Transaction& transaction, Vm vm, VmState state, std::string reason, std::string kind) {
    if (vm.state != state) vm.state_since = transaction.now();
    vm.state = state;
    vm.state_reason = reason;
    transaction.put(std::move(vm), {std::move(kind), std::move(reason)});
}

}  // namespace ballast::jobs
