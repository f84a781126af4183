#include "scheduler/rules/memory_fit.h"

#include "scheduler/rules/lower_minimum.h"

namespace ballast::scheduler {
namespace {

/// "4 GiB", or "1 GiB of 4 GiB, guaranteed".
std::string of_the_guest(const VmSpec& spec, const Host& host, Bytes wanted) {
    const Bytes whole = memory_demand(spec, host);
    if (wanted == whole) return fmt::format("{}", spec.memory);
    return fmt::format("{} of {}, guaranteed,", spec.memory - (whole - wanted), spec.memory);
}

}  // namespace

bool MemoryFit::fits(const Candidate& candidate) const {
    return memory_promise(candidate.spec(), candidate.host()) <= candidate.view.free_memory();
}

RuleVerdict MemoryFit::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    const VmSpec& spec = candidate.spec();
    const Bytes wanted = memory_promise(spec, host);
    const Bytes free = candidate.view.free_memory();
    if (wanted <= free) return accept("needs {}, has {} of {}", wanted, free, usable_memory(host));
    const RuleVerdict verdict =
        reject("needs {} ({} and {} for QEMU), has {} of {}", wanted, of_the_guest(spec, host, wanted),
               memory_demand(spec, host) - spec.memory, free, usable_memory(host));
    if (wanted > usable_memory(host)) return fits_if(verdict, "the VM is smaller than the host");
    const std::string freed = fmt::format("{} are freed on {}", wanted - free, host.name);
    const auto lower = lower_minimum(candidate, wanted - free);
    return lacks_room(verdict, lower ? fmt::format("{}, or {}", *lower, freed) : freed);
}

}  // namespace ballast::scheduler
