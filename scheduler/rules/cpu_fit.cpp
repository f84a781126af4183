#include "scheduler/rules/cpu_fit.h"

#include <algorithm>

namespace ballast::scheduler {

namespace {

int usable_cores(const Host& host) {
    return std::max(0, host.settings.cpu_capacity.value_or(host.facts.cpus) - host.settings.reserved_cpus);
}

}  // namespace

bool CpuFit::fits(const Candidate& candidate) const {
    const int wanted = candidate.spec().vcpus;
    return wanted <= usable_cores(candidate.host()) && wanted <= candidate.view.free_vcpus();
}

RuleVerdict CpuFit::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    const int wanted = candidate.spec().vcpus;
    const int cores = usable_cores(host);
    const int room = candidate.view.free_vcpus();
    if (wanted > cores)  // a guest whose vCPUs outnumber the cores waits for itself, whatever the overcommit
        return fits_if(reject("needs {} vCPUs, the host has {} usable cores", wanted, cores),
                       fmt::format("the VM has at most {} vCPUs", cores));
    if (wanted > room)
        return lacks_room(reject("needs {} vCPUs, has {} of {} free ({} cores x {:g})", wanted, std::max(0, room),
                                 usable_vcpus(host), cores, host.settings.cpu_overcommit),
                          fmt::format("{} vCPUs leave {}", wanted - std::max(0, room), host.name));
    return accept("needs {} vCPUs, has {} of {} free", wanted, room, usable_vcpus(host));
}

}  // namespace ballast::scheduler
