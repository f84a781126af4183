#include "daemon/reconcile/host_verdict.h"

#include <algorithm>
#include <utility>

#include "daemon/reconcile/words.h"

namespace ballast::reconcile {
namespace {

bool is_connected(drivers::LinkState link) {
    return link == drivers::LinkState::up || link == drivers::LinkState::slow;
}

HostVerdict judge_listed(const Host& row, const HostSight& sight) {
    if (!sight.quarantine.empty()) return {HostState::quarantined, sight.quarantine};
    if (sight.link == drivers::LinkState::slow) return {HostState::slow, sight.detail};
    if (row.maintenance) return {HostState::maintenance, "asked for by an operator"};
    return {HostState::up, sight.detail};
}

}  // namespace

HostVerdict judge_host(const Host& row, const HostSight& sight) {
    if (row.state == HostState::removed) return {HostState::removed, row.state_reason};
    if (sight.link == drivers::LinkState::unreachable) return {HostState::unreachable, sight.detail};
    if (sight.link == drivers::LinkState::connecting)
        return row.state == HostState::unreachable ? HostVerdict{HostState::unreachable, row.state_reason}
                                                   : HostVerdict{HostState::connecting, sight.detail};
    if (sight.listed || !sight.quarantine.empty()) return judge_listed(row, sight);
    return {HostState::connecting, "connected; what it runs is being listed"};
}

bool can_be_asked(HostState state) {
    return state == HostState::up || state == HostState::slow || state == HostState::maintenance;
}

std::string stale_copies(const Snapshot& snapshot, const Host& host) {
    std::vector<std::string> found;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (!vm.host || *vm.host == host.id) return;
        const auto here = std::ranges::find(vm.definitions, host.id, &Definition::host);
        if (here != vm.definitions.end() && is_active(here->state))
            found.push_back(fmt::format("{} (owned by {})", vm.name, host_name(snapshot, *vm.host)));
    });
    if (found.empty()) return {};
    std::ranges::sort(found);
    return fmt::format("was confirmed dead and still runs {}; end these copies, or resolve the host",
                       fmt::join(found, ", "));
}

std::string duplicate_of(const Snapshot& snapshot, const HostId& host, const HostFacts& facts) {
    if (facts.host_uuid.empty()) return {};
    const Host* first = snapshot.hosts.find_if([&](const Host& other) {
        return other.id != host && other.state != HostState::removed && other.facts.host_uuid == facts.host_uuid;
    });
    if (first == nullptr) return {};
    return fmt::format("it is the same host as {} (host UUID {}); remove one of the two", first->name, facts.host_uuid);
}

std::optional<HostChange> change_host(const Snapshot& snapshot, const Host& row, HostSight sight, Timestamp now) {
    Host next = row;
    if (row.confirmed_dead && sight.listed && is_connected(sight.link) && sight.quarantine.empty()) {
        sight.quarantine = stale_copies(snapshot, row);
        next.confirmed_dead = !sight.quarantine.empty();
    }
    HostVerdict verdict = judge_host(row, sight);
    const bool same_reason = verdict.state != HostState::quarantined || verdict.reason == row.state_reason;
    if (verdict.state == row.state && same_reason && next.confirmed_dead == row.confirmed_dead) return std::nullopt;
    if (verdict.state != row.state) next.state_since = now;
    next.state = verdict.state;
    next.state_reason = std::move(verdict.reason);
    std::string cause = next.state_reason.empty() ? "" : ": " + next.state_reason;
    if (row.confirmed_dead && !next.confirmed_dead)
        cause += "; it holds no copy of a VM that moved on, its death is revoked";
    return HostChange{next, fmt::format("host.{}", boost::describe::enum_to_string(next.state, "changed")),
                      fmt::format("host {} is {}{}", row.name, words(next.state), cause)};
}

}  // namespace ballast::reconcile
