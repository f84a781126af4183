#include "scheduler/spare_memory.h"

#include "scheduler/rules/memory_parts.h"

namespace ballast::scheduler {
namespace {

Bytes beside_maximums(const Candidate& candidate) {
    Bytes taken = candidate.view.held_memory + memory_demand(candidate.spec(), candidate.host());
    for_each_row(candidate.view, [&](const Vm& vm) { taken += memory_demand(vm.spec, candidate.host()); });
    return saturating_sub(usable_memory(candidate.host()), taken);
}

/// Of what is free those that are on their way will take their part, and others' caches may not be full yet.
Bytes free_for_others(const Candidate& candidate, Bytes free) {
    Bytes coming = candidate.view.held_memory;
    for (const Arrival& arrival : candidate.view.arriving)
        if (arrival.vm != nullptr) coming += memory_demand(arrival.vm->spec, candidate.host());
    return saturating_sub(free, coming);
}

/// As much of it as is borne. Once less is held, the next answer may name another reason, so it is asked again.
Bytes borne(const Candidate& candidate, const MemoryAdmission& memory, Bytes most) {
    constexpr int most_questions = 4;
    const MemoryParts parts = memory_parts(candidate);
    for (int i = 0; i < most_questions && most > Bytes(0); ++i) {
        const MemoryAnswer answer = memory.admits(
            {.host = candidate.host(), .there = parts.there, .fresh = parts.fresh, .held = parts.held + most});
        if (answer.admitted) return most;
        if (answer.missing <= Bytes(0)) break;
        most = saturating_sub(most, answer.missing);
    }
    return Bytes(0);
}

}  // namespace

Bytes spare_memory(const Snapshot& snapshot, const HostId& host, const Vm& vm, const MemoryAdmission* memory) {
    const Host& row = *snapshot.hosts.find(host);
    if (!overcommits(row)) return view_host(snapshot, host, VmId()).free_memory();
    PlacementRequest request;
    request.spec = vm.spec;
    request.vm = vm.id;
    const HostView view = view_host(snapshot, host, vm.id);
    const Surroundings around{.groups = {}, .memory = memory};
    const Candidate candidate{snapshot, request, view, around};
    const auto free = memory != nullptr ? memory->free_now(row) : std::nullopt;
    if (!free) return beside_maximums(candidate);
    return borne(candidate, *memory, free_for_others(candidate, *free));
}

}  // namespace ballast::scheduler
