#include "scheduler/rules/memory_parts.h"

namespace ballast::scheduler {
namespace {

MemoryPart part_of(const Candidate& candidate, const VmId& id, const VmSpec& spec) {
    return {
        .vm = id, .spec = &spec, .demand = memory_demand(spec, candidate.host(), load_of(candidate.around.load, id))};
}

template <class Visit>
void for_each_row(const HostView& view, Visit visit) {
    for (const Vm* vm : view.vms) visit(*vm);
    for (const Arrival& arrival : view.arriving)
        if (arrival.vm != nullptr) visit(*arrival.vm);
}

}  // namespace

MemoryParts memory_parts(const Candidate& candidate) {
    MemoryParts parts{.there = {},
                      .fresh = part_of(candidate, known_vm(candidate), candidate.spec()),
                      .held = candidate.view.held_memory};
    parts.there.reserve(candidate.view.vms.size() + candidate.view.arriving.size());
    for_each_row(candidate.view, [&](const Vm& vm) { parts.there.push_back(part_of(candidate, vm.id, vm.spec)); });
    return parts;
}

MemoryUse memory_use(const Candidate& candidate) {
    if (!overcommits(candidate.host()))
        return {.there = candidate.view.promised_memory, .fresh = memory_promise(candidate.spec(), candidate.host())};
    MemoryUse use{.there = candidate.view.held_memory,
                  .fresh = part_of(candidate, known_vm(candidate), candidate.spec()).demand.working_set};
    for_each_row(candidate.view,
                 [&](const Vm& vm) { use.there += part_of(candidate, vm.id, vm.spec).demand.working_set; });
    return use;
}

}  // namespace ballast::scheduler
