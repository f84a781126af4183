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

bool offers_machine(const Candidate& candidate) {
    const std::string& wanted = candidate.spec().machine;
    return wanted.empty() || offers(candidate.host().facts.machine_types, wanted);
}

bool offers_model(const Candidate& candidate) {
    const std::string& wanted = candidate.spec().cpu_model;
    return is_mode(wanted) || offers(candidate.host().facts.cpu_models, wanted);
}

/// A guest that was given its host's own CPU can only go on where the same one is.
const Host* host_of_another_cpu(const Candidate& candidate) {
    const PlacementRequest& request = candidate.request;
    if (!request.for_migration || !request.from || candidate.spec().cpu_model != "host-passthrough") return nullptr;
    const Host* from = candidate.snapshot.hosts.find(*request.from);
    if (from == nullptr || from->facts.cpu_model == candidate.host().facts.cpu_model) return nullptr;
    return from;
}

const std::string* find_missing_feature(const Candidate& candidate) {
    const auto& offered = candidate.host().facts.cpu_features;
    const auto& wanted = candidate.spec().placement.cpu_features;
    const auto missing =
        std::ranges::find_if_not(wanted, [&](const auto& feature) { return offers(offered, feature); });
    return missing != wanted.end() ? &*missing : nullptr;
}

}  // namespace

bool CpuCompatible::fits(const Candidate& candidate) const {
    return offers_machine(candidate) && offers_model(candidate) && host_of_another_cpu(candidate) == nullptr &&
           find_missing_feature(candidate) == nullptr;
}

RuleVerdict CpuCompatible::operator()(const Candidate& candidate) const {
    const HostFacts& facts = candidate.host().facts;
    const VmSpec& spec = candidate.spec();
    if (!offers_machine(candidate))
        return fits_if(reject("does not know the machine type {}", spec.machine), "its QEMU is upgraded");
    if (!offers_model(candidate))
        return fits_if(reject("can't give the CPU model {}", spec.cpu_model), "the VM asks for a model that it has");
    if (const Host* from = host_of_another_cpu(candidate))
        return fits_if(reject("its CPU is {}, the VM was given that of {} as it is: {}", facts.cpu_model, from->name,
                              from->facts.cpu_model),
                       "the VM is started with a named CPU model");
    if (const auto* feature = find_missing_feature(candidate))
        return fits_if(reject("its CPU has no {}, one of the {} features that the VM needs", *feature,
                              spec.placement.cpu_features.size()),
                       fmt::format("the VM does without {}", *feature));
    return accept("machine {} and CPU {} are offered", spec.machine.empty() ? "any" : spec.machine,
                  spec.cpu_model.empty() ? "baseline" : spec.cpu_model);
}

}  // namespace ballast::scheduler
