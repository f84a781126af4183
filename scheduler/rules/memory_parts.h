#pragma once
// What all VMs of one host want of its memory, with the one that is to come: shared by the rule working_set_fit and the
// scorers of utilisation. Decides nothing. Pure.

#include <optional>
#include <vector>

#include "scheduler/memory_admission.h"
#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

struct MemoryParts {
    std::vector<MemoryPart> there;  ///< VMs that count by their rows, then those that are claimed to come
    MemoryPart fresh;
    Bytes held;  ///< whole claims and caches
};

/// Where nothing is overcommitted, a claimed VM is among what is held.
[[nodiscard]] MemoryParts memory_parts(const Candidate& candidate);
/// What whoever measures says of the candidate; nothing where nobody does, or nothing is overcommitted there.
[[nodiscard]] std::optional<MemoryAnswer> measured(const Candidate& candidate);
/// What one of them wants, and the one that is to come.
[[nodiscard]] MemoryDemand demand_there(const Candidate& candidate, const Vm& vm);
[[nodiscard]] MemoryDemand fresh_demand(const Candidate& candidate);

/// Calls `visit(vm)` for each row that says what its VM is promised there.
template <class Visit>
void for_each_row(const HostView& view, Visit visit) {
    for (const Vm* vm : view.vms) visit(*vm);
    for (const Arrival& arrival : view.arriving)
        if (arrival.vm != nullptr) visit(*arrival.vm);
}

/// What is used, as an operator expects to see it: promises, and where the host overcommits the working sets that are
/// expected, for there the promises are only what is guaranteed.
struct MemoryUse {
    Bytes there;
    Bytes fresh;
};
[[nodiscard]] MemoryUse memory_use(const Candidate& candidate);

}  // namespace ballast::scheduler
