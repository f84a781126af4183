#include "memory/budget.h"

#include <algorithm>

#include "memory/arithmetic.h"
#include "memory/ksm.h"
#include "memory/ladder.h"

namespace ballast::memory {

HostBudget budget_of(const HostMemory& host, std::span<const VmMemory> vms, Bytes reserve, Bytes sure_sharing,
                     double counted_sharing) {
    HostBudget budget;
    budget.reserve = reserve;
    budget.available = available_on(host);
    Bytes resident;
    Bytes maximums;
    for (const VmMemory& vm : vms) {
        resident += vm.reading.resident;
        budget.overhead += vm.overhead;
        maximums += vm.maximum;
        budget.untouched += saturating_sub(vm.reading.balloon + vm.overhead, vm.reading.resident);
    }
    const Bytes of_guests = saturating_sub(resident, saved_by(host.ksm));
    const Bytes used_by_host = saturating_sub(host.total, host.free + host.cached + of_guests);
    budget.own = std::max(host.reserved, used_by_host);
    budget.for_guests = saturating_sub(host.total, reserve + budget.own + budget.overhead);
    budget.sharing = bytes_of(as_double(sure_sharing) * std::clamp(counted_sharing, 0.0, 1.0));
    budget.plenty = maximums <= budget.for_guests;
    return budget;
}

Gift may_give(const HostBudget& budget, bool danger) {
    const Bytes critical = critical_below(budget.reserve);
    const Bytes above = saturating_sub(budget.available, danger ? critical : pressed_below(budget.reserve));
    const Bytes sure = saturating_sub(above, budget.untouched);
    return {.sure = sure,
            .likely = std::max(sure, above / 2),
            .lent = saturating_sub(budget.available, critical + budget.untouched)};
}

Bytes guaranteed(const VmMemory& vm) {
    return vm.minimum > Bytes(0) ? std::min(vm.minimum, vm.maximum) : vm.maximum;
}

Demand demand_of(const VmMemory& vm, const WorkingSet& working_set) {
    const bool believed = working_set.trust == Trust::trusted;
    return {.maximum = vm.maximum + vm.overhead,
            .minimum = guaranteed(vm) + vm.overhead,
            .working_set = (believed ? std::min(working_set.mean, vm.maximum) : vm.maximum) + vm.overhead,
            .deviation = believed ? working_set.deviation : Bytes(0),
            .group = vm.group};
}

}  // namespace ballast::memory
