// Which rules together leave no host: a smallest hitting set of the hosts' refusals.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include <fmt/ranges.h>

#include "scheduler/placement.h"
#include "scheduler/rules/catalog.h"
#include "scheduler/ways_out.h"

namespace ballast::scheduler {
namespace {

/// The rules that refuse a host, a bit for each.
using Refusals = std::uint64_t;

std::vector<Refusals> refusals_of(const Decision& decision) {
    std::vector<Refusals> all;
    for (const HostVerdict& verdict : decision.hosts) {
        Refusals bits = 0;
        for (std::size_t i = 0; i < verdict.rules.size(); ++i)
            if (!verdict.rules[i].accepted) bits |= Refusals{1} << i;
        all.push_back(bits);
    }
    std::ranges::sort(all);
    const auto repeated = std::ranges::unique(all);
    all.erase(repeated.begin(), repeated.end());
    return all;
}

bool leaves_no_host(Refusals rules, const std::vector<Refusals>& hosts) {
    return std::ranges::all_of(hosts, [&](Refusals host) { return (host & rules) != 0; });
}

/// By deletion: what is left cannot lose another rule.
Refusals irreducible(Refusals rules, const std::vector<Refusals>& hosts) {
    for (Refusals bit = std::bit_floor(rules); bit != 0; bit >>= 1U)
        if ((rules & bit) != 0 && leaves_no_host(rules & ~bit, hosts)) rules &= ~bit;
    return rules;
}

/// The fewest: sets of one, two and three rules are all tried; larger ones are only irreducible.
Refusals smallest(Refusals rules, const std::vector<Refusals>& hosts) {
    std::vector<Refusals> bits;
    for (Refusals bit = 1; bit != 0 && bit <= rules; bit <<= 1U)
        if ((rules & bit) != 0) bits.push_back(bit);
    for (const Refusals one : bits)
        if (leaves_no_host(one, hosts)) return one;
    for (const Refusals one : bits)
        for (const Refusals two : bits)
            if (leaves_no_host(one | two, hosts)) return one | two;
    for (const Refusals one : bits)
        for (const Refusals two : bits)
            for (const Refusals three : bits)
                if (leaves_no_host(one | two | three, hosts)) return one | two | three;
    return irreducible(rules, hosts);
}

/// "group db keeps apart and has 3 members on 3 hosts that accept work": the group is larger than the cluster.
std::string about_groups(const Snapshot& snapshot, const PlacementRequest& request) {
    std::string text;
    const Groups groups = view_groups(snapshot, &request.spec, request.vm);
    for_each_group(request.spec, [&](const std::string& group) {
        const GroupFacts* facts = groups.find(group);
        if (facts == nullptr) return;
        GroupDemand demand = demand_of(request.spec.anti_affinity, request.spec.placement, group);
        demand.add(facts->demand);
        const int zones = static_cast<int>(groups.zones.size());
        if (demand.at(AffinityKind::apart, AffinityScope::host) > 0 && facts->members >= groups.hosts)
            text += fmt::format("; group {} keeps apart and has {} VMs already, on {} hosts that accept work", group,
                                facts->members, groups.hosts);
        else if (demand.at(AffinityKind::apart, AffinityScope::zone) > 0 && facts->members >= zones)
            text += fmt::format("; group {} keeps apart and has {} VMs already, in {} zones that accept work", group,
                                facts->members, zones);
    });
    return text;
}

}  // namespace

std::optional<Conflict> find_conflict(const Snapshot& snapshot, const PlacementRequest& request,
                                      const Decision& decision) {
    const auto hosts = refusals_of(decision);
    Refusals any = 0;
    for (const Refusals host : hosts) any |= host;
    if (hosts.empty() || !leaves_no_host(any, hosts)) return std::nullopt;
    const Refusals rules = smallest(any, hosts);
    Conflict conflict;
    for (std::size_t i = 0; i < rule_catalog().size(); ++i)
        if ((rules & (Refusals{1} << i)) != 0) conflict.rules.emplace_back(rule_catalog()[i].name);
    conflict.text = conflict.rules.size() == 1
                        ? fmt::format("{} alone leaves no host", conflict.rules.front())
                        : fmt::format("{} together leave no host; without one of them there would be one",
                                      fmt::join(conflict.rules, " and "));
    conflict.text += about_groups(snapshot, request);
    return conflict;
}

}  // namespace ballast::scheduler
