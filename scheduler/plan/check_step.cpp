// The guard of a step: asked again on the rows of the moment at which it would be made.

#include <algorithm>

#include "core/try.h"
#include "scheduler/placement.h"
#include "scheduler/plan/model.h"
#include "scheduler/plan/planner.h"

namespace ballast::scheduler {
namespace {

std::string label(const PlanStep& step) {
    return fmt::format("step {} ({} from {} to {})", step.number, step.name, step.from_name, step.to_name);
}

/// A step that this one waits for has been made when its VM is no longer where it was.
Result<void> check_before(const Snapshot& snapshot, const ClusterPlan& plan, const PlanStep& step) {
    for (const int number : step.after) {
        const auto before = std::ranges::find(plan.steps, number, &PlanStep::number);
        if (before == plan.steps.end())
            return fail(Code::failed_precondition, "{} waits for step {}, which the plan does not have; plan again",
                        label(step), number);
        const Vm* vm = snapshot.vms.find(before->vm);
        if (vm != nullptr && vm->host == before->from)
            return fail(Code::failed_precondition, "{} waits for {}, which has not been made", label(step),
                        label(*before));
    }
    return {};
}

Result<void> check_vm(const Snapshot& snapshot, const PlanStep& step) {
    const Vm* vm = snapshot.vms.find(step.vm);
    if (vm == nullptr)
        return fail(Code::failed_precondition, "{} can't be made: the VM is gone; plan again", label(step));
    if (vm->host != step.from)
        return fail(Code::failed_precondition, "{} can't be made: the VM is {}; plan again", label(step),
                    vm->host ? "on " + host_name(snapshot, *vm->host) : "on no host");
    if (vm->state != VmState::running)
        return fail(Code::failed_precondition, "{} can't be made: the VM does not run; plan again", label(step));
    if (vm->revision != step.vm_revision)
        return fail(Code::failed_precondition,
                    "{} can't be made: the VM was changed since (revision {}, planned with {}); plan again",
                    label(step), vm->revision, step.vm_revision);
    if (!vm->managed || vm->spec.moves == MovePolicy::never)
        return fail(Code::failed_precondition, "{} can't be made: the VM {}; plan again", label(step),
                    vm->managed ? "is never to move" : "is only observed");
    const Host* from = snapshot.hosts.find(step.from);
    if (from == nullptr || !from->managed)
        return fail(Code::failed_precondition, "{} can't be made: {} is not managed; plan again", label(step),
                    step.from_name);
    return {};
}

}  // namespace

Result<void> check_step(const Snapshot& snapshot, const ClusterPlan& plan, const PlanStep& step,
                        const Preferences& preferences) {
    BALLAST_CHECK(check_before(snapshot, plan, step));
    BALLAST_CHECK(check_vm(snapshot, step));
    const Vm& vm = *snapshot.vms.find(step.vm);
    const auto taken = check_claim(snapshot, step.to, plan::move_request(vm, step.from), preferences);
    if (taken) return {};
    return std::unexpected(while_doing(taken.error(), "{} can't be made any more; plan again", label(step)));
}

}  // namespace ballast::scheduler
