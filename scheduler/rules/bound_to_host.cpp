#include "scheduler/rules/bound_to_host.h"

#include <algorithm>

namespace ballast::scheduler {

namespace {

const Definition* find_bond(const Candidate& candidate) {
    const Vm* vm = candidate.snapshot.vms.find(candidate.request.vm);
    if (vm == nullptr) return nullptr;
    const auto bond = std::ranges::find_if(vm->definitions, [&](const Definition& definition) {
        return definition.host != candidate.host().id && !definition.bound_by.empty();
    });
    return bond != vm->definitions.end() ? &*bond : nullptr;
}

}  // namespace

bool BoundToHost::fits(const Candidate& candidate) const {
    return find_bond(candidate) == nullptr;
}

RuleVerdict BoundToHost::operator()(const Candidate& candidate) const {
    const Definition* bond = find_bond(candidate);
    if (bond == nullptr) return accept("bound to no other host");
    const std::string bonds = fmt::format("{}", fmt::join(bond->bound_by, ", "));
    const std::string where = host_name(candidate.snapshot, bond->host);
    return fits_if(reject("{} binds the VM to {}", bonds, where), fmt::format("{} on {} is removed", bonds, where));
}

}  // namespace ballast::scheduler
