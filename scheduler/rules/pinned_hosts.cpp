#include "scheduler/rules/pinned_hosts.h"

#include <algorithm>

namespace ballast::scheduler {

bool PinnedHosts::fits(const Candidate& candidate) const {
    const auto& hosts = candidate.spec().placement.hosts;
    return hosts.empty() || std::ranges::any_of(hosts, [&](const std::string& host) {
               return host == candidate.host().name || host == candidate.host().id.str();
           });
}

RuleVerdict PinnedHosts::operator()(const Candidate& candidate) const {
    const auto& hosts = candidate.spec().placement.hosts;
    if (hosts.empty()) return accept("pinned to no host");
    if (fits(candidate)) return accept("one of the {} hosts it is pinned to", hosts.size());
    return fits_if(reject("the VM is pinned to {}", fmt::join(hosts, ", ")),
                   fmt::format("the VM is pinned to {}, too", candidate.host().name));
}

}  // namespace ballast::scheduler
