#include "scheduler/rules/bound_to_host.h"

namespace ballast::scheduler {

RuleVerdict BoundToHost::operator()(const Candidate& candidate) const {
    const Vm* vm = candidate.snapshot.vms.find(candidate.request.vm);
    if (vm == nullptr) return accept("bound to no host");
    for (const Definition& definition : vm->definitions) {
        if (definition.host == candidate.host().id || definition.bound_by.empty()) continue;
        const std::string bonds = fmt::format("{}", fmt::join(definition.bound_by, ", "));
        const std::string where = host_name(candidate.snapshot, definition.host);
        return fits_if(reject("{} binds the VM to {}", bonds, where), fmt::format("{} on {} is removed", bonds, where));
    }
    return accept("bound to no other host");
}

}  // namespace ballast::scheduler
