#include "scheduler/rules/host_ready.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>

namespace ballast::scheduler {
namespace {

std::string reason_of(const Host& host) {
    return host.state_reason.empty() ? "" : fmt::format(" ({})", host.state_reason);
}

bool is_excluded(const Candidate& candidate) {
    const auto& exclude = candidate.request.exclude;
    return std::ranges::find(exclude, candidate.host().id) != exclude.end();
}

}  // namespace

bool HostReady::fits(const Candidate& candidate) const {
    const PlacementRequest& request = candidate.request;
    return accepts_work(candidate.host()) && !is_excluded(candidate) &&
           !(request.for_migration && request.from == candidate.host().id);
}

RuleVerdict HostReady::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    const PlacementRequest& request = candidate.request;
    if (request.for_migration && request.from == host.id) return reject("the VM runs here already");
    if (is_excluded(candidate)) return reject("excluded by the request");
    if (host.confirmed_dead)
        return fits_if(reject("confirmed dead"), fmt::format("resolve its quarantine once {} is back", host.name));
    if (!host.managed)
        return fits_if(reject("only observed, nothing is begun on it"),
                       fmt::format("ballast host manage {}", host.name));
    if (host.maintenance)
        return fits_if(reject("in maintenance"), fmt::format("ballast host maintenance {} --off", host.name));
    if (host.state != HostState::up)
        return fits_if(reject("{}{}", boost::describe::enum_to_string(host.state, "unknown"), reason_of(host)),
                       fmt::format("{} is up again", host.name));
    return accept("managed and up");
}

}  // namespace ballast::scheduler
