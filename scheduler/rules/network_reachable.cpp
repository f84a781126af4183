#include "scheduler/rules/network_reachable.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

bool has_active(const HostFacts& facts, const std::string& network) {
    return std::ranges::any_of(facts.networks,
                               [&](const HostNetwork& known) { return known.name == network && known.active; });
}

bool has_bridge(const HostFacts& facts, const std::string& bridge) {
    return std::ranges::find(facts.bridges, bridge) != facts.bridges.end();
}

bool reaches(const HostFacts& facts, const NicSpec& nic) {
    return (nic.network.empty() || has_active(facts, nic.network)) &&
           (nic.bridge.empty() || has_bridge(facts, nic.bridge));
}

}  // namespace

bool NetworkReachable::fits(const Candidate& candidate) const {
    return std::ranges::all_of(candidate.spec().nics,
                               [&](const NicSpec& nic) { return reaches(candidate.host().facts, nic); });
}

RuleVerdict NetworkReachable::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    for (const NicSpec& nic : candidate.spec().nics) {
        if (!nic.network.empty() && !has_active(host.facts, nic.network))
            return fits_if(reject("has no active network {}", nic.network),
                           fmt::format("network {} is started on {}", nic.network, host.name));
        if (!nic.bridge.empty() && !has_bridge(host.facts, nic.bridge))
            return fits_if(reject("has no bridge {}", nic.bridge),
                           fmt::format("bridge {} exists on {}", nic.bridge, host.name));
    }
    return accept("reaches {} networks", candidate.spec().nics.size());
}

}  // namespace ballast::scheduler
