#include "scheduler/rules/cpu_compatible.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

/// Modes of libvirt's <cpu> rather than models: any host can start them.
bool is_mode(std::string_view model) {
    return model.empty() || model.starts_with("host-") || model == "maximum";
}

/// A host that names none (libvirt's test driver) can't be judged by its list; its start says more.
bool offers(const std::vector<std::string>& offered, std::string_view wanted) {
    return offered.empty() || std::ranges::find(offered, wanted) != offered.end();
}

}  // namespace

RuleVerdict CpuCompatible::operator()(const Candidate& candidate) const {
    const HostFacts& facts = candidate.host().facts;
    const VmSpec& spec = candidate.spec();
    if (!spec.machine.empty() && !offers(facts.machine_types, spec.machine))
        return fits_if(reject("does not know the machine type {}", spec.machine), "its QEMU is upgraded");
    if (!is_mode(spec.cpu_model) && !offers(facts.cpu_models, spec.cpu_model))
        return fits_if(reject("can't give the CPU model {}", spec.cpu_model), "the VM asks for a model that it has");
    return accept("machine {} and CPU {} are offered", spec.machine.empty() ? "any" : spec.machine,
                  spec.cpu_model.empty() ? "baseline" : spec.cpu_model);
}

}  // namespace ballast::scheduler
