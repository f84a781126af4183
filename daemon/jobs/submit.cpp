#include "daemon/jobs/submit.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/try.h"
#include "daemon/jobs/evacuation.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/rebalance/plans.h"
#include "daemon/jobs/reservations.h"
#include "daemon/reconcile/alerts.h"

namespace ballast::jobs {
namespace {

constexpr std::array<std::string_view, 14> kinds{"vm.create",     "vm.start",         "vm.shutdown",   "vm.reboot",
                                                 "vm.destroy",    "vm.save",          "vm.delete",     "vm.migrate",
                                                 "image.import",  "image.delete",     "volume.create", "volume.delete",
                                                 "host.evacuate", "cluster.rebalance"};

Result<void> check_host_of(const Snapshot& snapshot, const Vm& vm) {
    if (!vm.host) return {};
    const Host* host = snapshot.hosts.find(*vm.host);
    if (host == nullptr || host->managed) return {};
    return fail(Code::failed_precondition,
                "host {} is only observed, so nothing on it is changed; run `ballast host manage {}` first", host->name,
                host->name);
}

/// What the safety contract refuses for any act on an existing VM (SAFETY.md 1, 2, 3, 7).
Result<void> check_may_act(const Snapshot& snapshot, const Vm& vm) {
    if (!vm.managed)
        return fail(Code::failed_precondition,
                    "VM {} is only observed, so nothing is done to it; run `ballast vm adopt {}` first", vm.name,
                    vm.name);
    if (reconcile::alert::is_observe_only(vm))
        return fail(Code::failed_precondition, "VM {} is only observed: {}; an operator must decide whose it is",
                    vm.name, fmt::join(vm.alerts, "; "));
    if (vm.state == VmState::unknown)
        return fail(
            Code::failed_precondition,
            "VM {} is unknown: {}; wait for the host, or run `ballast host confirm-dead` if it is lost for good",
            vm.name, vm.state_reason);
    if (vm.state == VmState::conflict)
        return fail(Code::conflict, "VM {} is in conflict: {}; an operator must end all copies but one", vm.name,
                    vm.state_reason);
    return check_host_of(snapshot, vm);
}

/// A name that is taken, also by a VM that is still being created.
Result<void> check_name_free(store::Transaction& transaction, const std::string& name) {
    const auto taken = transaction.find_vm_named(name);
    const Vm* vm = taken ? transaction.snapshot().vms.find(*taken) : nullptr;
    if (vm == nullptr) return {};
    return fail(Code::already_exists, "a VM named '{}' exists already ({}{}); choose another name", name, vm->id,
                vm->host ? " on " + host_name(transaction.snapshot(), *vm->host) : "");
}

/// The row of a VM to be: it reserves the name, and the list shows it at once.
Result<Vm> make_vm_row(store::Transaction& transaction, const JobRequest& request, const JobId& job) {
    BALLAST_TRY(const auto params, parse_as<VmCreateParams>(request.params.text, ""));
    BALLAST_CHECK(check_name("VM", params.name));
    BALLAST_CHECK(check(params.spec));
    BALLAST_CHECK(check_name_free(transaction, params.name));
    Vm vm;
    vm.id = request.vm.empty() ? VmId(transaction.ids().uuid()) : request.vm;
    vm.name = params.name;
    vm.managed = vm.created_by_ballast = true;
    vm.state = VmState::creating;
    vm.state_since = vm.created = transaction.now();
    vm.spec = params.spec;
    vm.job = job;
    if (!params.reservation.empty()) BALLAST_CHECK(take_place(transaction, params, vm.id));
    return vm;
}

/// The host that is evacuated is the job's.
Result<void> name_the_host(const Snapshot& snapshot, JobRequest& request) {
    BALLAST_TRY(const auto params, parse_as<HostEvacuateParams>(request.params.text, ""));
    BALLAST_TRY(request.host, check_evacuation(snapshot, params));
    request.subject = host_name(snapshot, request.host);
    return {};
}

/// The plan's goal is what the job is about.
Result<void> name_the_plan(const Snapshot& snapshot, JobRequest& request) {
    BALLAST_TRY(const auto params, parse_as<RebalanceParams>(request.params.text, ""));
    BALLAST_TRY(request.subject, check_rebalance(snapshot, params));
    return {};
}

/// Past the switch to post-copy neither side alone has the whole VM: there is no way back, only the end or a failure.
Result<void> check_not_switched(const Snapshot& snapshot, const Job& job) {
    const Migration* migration = snapshot.migrations.find(job.id);
    if (migration == nullptr) return {};
    const bool switched = migration->phase == MigrationPhase::pull || migration->phase == MigrationPhase::pull_paused;
    if (!switched && migration->phase != MigrationPhase::finishing) return {};
    return fail(Code::failed_precondition,
                "migration {} of {} has switched: the VM runs on {} already, so it can't be cancelled{}", job.id,
                job.subject, host_name(snapshot, migration->to),
                migration->phase == MigrationPhase::pull_paused
                    ? fmt::format("; `ballast migration resume {}` goes on with it", job.id)
                    : "; it ends by itself");
}

}  // namespace

Result<Job> submit(store::Transaction& transaction, JobRequest request) {
    if (std::ranges::find(kinds, request.kind) == kinds.end())
        return fail(Code::invalid_argument, "no job is of kind '{}'; known are {}", request.kind,
                    fmt::join(kinds, ", "));
    Job job;
    job.id = JobId(transaction.ids().sortable(transaction.now()));
    if (request.kind == "vm.create") {
        BALLAST_TRY(Vm vm, make_vm_row(transaction, request, job.id));
        request.vm = vm.id;
        request.subject = vm.name;
        const std::string message = fmt::format("VM {} is being created", vm.name);
        transaction.put(std::move(vm), {"vm.creating", message});
    } else if (!request.vm.empty()) {
        const Vm* vm = transaction.snapshot().vms.find(request.vm);
        if (vm == nullptr) return fail(Code::not_found, "no VM has the id '{}'; see `ballast vm list`", request.vm);
        BALLAST_CHECK(check_may_act(transaction.snapshot(), *vm));
        request.subject = vm->name;
        if (vm->host && request.host.empty()) request.host = *vm->host;
    }
    if (request.kind == "host.evacuate") BALLAST_CHECK(name_the_host(transaction.snapshot(), request));
    if (request.kind == "cluster.rebalance") BALLAST_CHECK(name_the_plan(transaction.snapshot(), request));
    job.kind = std::move(request.kind);
    job.vm = std::move(request.vm);
    job.host = std::move(request.host);
    job.subject = std::move(request.subject);
    job.params = std::move(request.params);
    job.actor = transaction.context().actor;
    job.created = transaction.now();
    transaction.put(job, {"job.queued", fmt::format("{} of {} is queued", job.kind, job.subject)});
    return job;
}

Result<Job> request_cancel(store::Transaction& transaction, const JobId& id) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::not_found, "no job has the id '{}'; see `ballast job list`", id);
    Job job = *found;
    if (is_finished(job.state))
        return fail(Code::failed_precondition, "job {} ({} of {}) has ended already: nothing is left to cancel", job.id,
                    job.kind, job.subject);
    BALLAST_CHECK(check_not_switched(transaction.snapshot(), job));
    job.cancel_requested = true;
    transaction.put(job, {"job.cancel_requested", fmt::format("{} of {} is asked to stop", job.kind, job.subject)});
    return job;
}

void take_back_unbegun(store::Transaction& transaction, const Job& job) {
    if (job.kind != "vm.create") return;
    const Vm* vm = transaction.snapshot().vms.find(job.vm);
    if (vm == nullptr || vm->job != job.id || !vm->definitions.empty()) return;
    leave_place(transaction, job.vm);
    transaction.erase(job.vm,
                      {"vm.create_failed", fmt::format("the creation of {} ended before it began", job.subject)});
}

}  // namespace ballast::jobs
