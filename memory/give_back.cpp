#include "memory/give_back.h"

#include <algorithm>

#include "memory/ladder.h"

namespace ballast::memory {
namespace {

bool is_squeezed(const VmMemory& vm) {
    return policy_of(vm.policy).acts && vm.balloon && !vm.migrating && vm.reading.balloon < vm.maximum;
}

}  // namespace

std::vector<BalloonMove> give_back(const HostMemory& host, std::span<const VmMemory> vms, Bytes reserve) {
    Bytes missing;
    for (const VmMemory& vm : vms)
        if (is_squeezed(vm)) missing += vm.maximum - vm.reading.balloon;
    const Bytes there = saturating_sub(available_on(host), critical_below(reserve));
    const double part = missing.count() > 0 ? std::min(1.0, there / missing) : 0;
    std::vector<BalloonMove> moves;
    for (const VmMemory& vm : vms) {
        if (!is_squeezed(vm)) continue;
        const Bytes from = vm.reading.balloon;
        const Bytes more(static_cast<std::int64_t>(part * static_cast<double>((vm.maximum - from).count())));
        if (more < std::min(least_change, vm.maximum - from)) continue;
        moves.push_back({.vm = vm.id,
                         .from = from,
                         .to = from + more,
                         .entitled = vm.maximum,
                         .cause = BalloonCause::entitled,
                         .why = "given back: nobody controls the host's memory from now on"});
    }
    return moves;
}

}  // namespace ballast::memory
