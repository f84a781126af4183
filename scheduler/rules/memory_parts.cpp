#include "scheduler/rules/memory_parts.h"

namespace ballast::scheduler {

MemoryDemand demand_there(const Candidate& candidate, const Vm& vm) {
    return memory_demand(vm.spec, candidate.host(), load_of(candidate.around.load, vm.id));
}

MemoryDemand fresh_demand(const Candidate& candidate) {
    const ClusterLoad* load = candidate.around.load;
    return memory_demand(candidate.spec(), candidate.host(),
                         load != nullptr ? load_of(load, known_vm(candidate)) : nullptr);
}

MemoryParts memory_parts(const Candidate& candidate) {
    MemoryParts parts{
        .there = {},
        .fresh = {.vm = known_vm(candidate), .spec = &candidate.spec(), .demand = fresh_demand(candidate)},
        .held = candidate.view.held_memory};
    parts.there.reserve(candidate.view.vms.size() + candidate.view.arriving.size());
    for_each_row(candidate.view, [&](const Vm& vm) {
        parts.there.push_back({.vm = vm.id, .spec = &vm.spec, .demand = demand_there(candidate, vm)});
    });
    return parts;
}

std::optional<MemoryAnswer> measured(const Candidate& candidate) {
    if (candidate.around.memory == nullptr || !overcommits(candidate.host())) return std::nullopt;
    const MemoryParts parts = memory_parts(candidate);
    return candidate.around.memory->admits({.host = candidate.host(),
                                            .there = parts.there,
                                            .fresh = parts.fresh,
                                            .held = parts.held,
                                            .moves = candidate.request.for_migration});
}

MemoryUse memory_use(const Candidate& candidate) {
    if (!overcommits(candidate.host()))
        return {.there = candidate.view.promised_memory, .fresh = memory_promise(candidate.spec(), candidate.host())};
    MemoryUse use{.there = candidate.view.held_memory, .fresh = fresh_demand(candidate).working_set};
    for_each_row(candidate.view, [&](const Vm& vm) { use.there += demand_there(candidate, vm).working_set; });
    return use;
}

}  // namespace ballast::scheduler
