#include "scheduler/rules/memory_fit.h"

namespace ballast::scheduler {

bool MemoryFit::fits(const Candidate& candidate) const {
    return memory_demand(candidate.spec(), candidate.host()) <= candidate.view.free_memory();
}

RuleVerdict MemoryFit::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    const Bytes wanted = memory_demand(candidate.spec(), host);
    const Bytes free = candidate.view.free_memory();
    if (wanted <= free) return accept("needs {}, has {} of {}", wanted, free, usable_memory(host));
    const RuleVerdict verdict = reject("needs {} ({} and {} for QEMU), has {} of {}", wanted, candidate.spec().memory,
                                       wanted - candidate.spec().memory, free, usable_memory(host));
    if (wanted > usable_memory(host)) return fits_if(verdict, "the VM is smaller than the host");
    return lacks_room(verdict, fmt::format("{} are freed on {}", wanted - free, host.name));
}

}  // namespace ballast::scheduler
