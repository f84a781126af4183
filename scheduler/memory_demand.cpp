#include "scheduler/memory_demand.h"

#include <algorithm>

namespace ballast::scheduler {

MemoryDemand memory_demand(const VmSpec& spec, const Host& host, const VmLoad* load) {
    const Bytes qemu = qemu_overhead(spec, accelerator_of(host));
    // Whose balloon is never moved there may fill its memory with page cache, and keeps it.
    const bool kept = overcommits(host) && !may_be_squeezed(spec);
    const Bytes least = kept ? spec.memory : guaranteed_memory(spec);
    MemoryDemand demand{.maximum = spec.memory + qemu, .minimum = least + qemu, .working_set = {}, .deviation = {}};
    if (!kept && load != nullptr && load->working_set > Bytes(0)) {
        demand.working_set = std::min(load->working_set, spec.memory) + qemu;
        demand.deviation = load->working_set_deviation;
        return demand;
    }
    demand.working_set = least + (spec.memory - least) / 2 + qemu;
    demand.deviation = (spec.memory - least) / 4;
    return demand;
}

const VmLoad* load_of(const ClusterLoad* load, const VmId& vm) {
    if (load == nullptr) return nullptr;
    const auto at = load->vms.find(vm);
    return at != load->vms.end() ? &at->second : nullptr;
}

}  // namespace ballast::scheduler
