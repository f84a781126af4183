#include "scheduler/rules/demands.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

constexpr std::size_t most_names = 5;

/// Members that count in the candidate's zone, by name; made only for words.
std::vector<std::string> members_in_zone(const Candidate& candidate, std::string_view group) {
    std::vector<std::string> names;
    const auto here = zone_of(candidate.host());
    for (const HostView& view : view_hosts(candidate.snapshot, candidate.request.vm)) {
        if (zone_of(*view.host) != here) continue;
        const auto at = view.groups.find(std::string(group));
        if (at != view.groups.end()) names.insert(names.end(), at->second.begin(), at->second.end());
    }
    std::ranges::sort(names);
    return names;
}

std::vector<std::string> members(const Candidate& candidate, std::string_view group, AffinityScope scope) {
    if (scope == AffinityScope::zone) return members_in_zone(candidate, group);
    const auto at = candidate.view.groups.find(std::string(group));
    return at != candidate.view.groups.end() ? at->second : std::vector<std::string>{};
}

}  // namespace

int members_at(const Candidate& candidate, std::string_view group, AffinityScope scope) {
    if (scope == AffinityScope::host) {
        const auto at = candidate.view.groups.find(group);
        return at != candidate.view.groups.end() ? static_cast<int>(at->second.size()) : 0;
    }
    const GroupFacts* facts = candidate.around.groups.find(group);
    if (facts == nullptr) return 0;
    const auto at = facts->by_zone.find(zone_of(candidate.host()));
    return at != facts->by_zone.end() ? at->second.members : 0;
}

int fewest_members(const Groups& groups, const GroupFacts& facts, AffinityScope scope) {
    if (scope == AffinityScope::host) {
        if (std::ssize(facts.by_host) < groups.hosts) return 0;
        const auto at = std::ranges::min_element(facts.by_host, {}, [](const auto& entry) { return entry.second; });
        return at != facts.by_host.end() ? at->second : 0;
    }
    int least = groups.zones.empty() ? 0 : facts.members;
    for (const auto& [zone, hosts] : groups.zones) {
        const auto at = facts.by_zone.find(zone);
        least = std::min(least, at != facts.by_zone.end() ? at->second.members : 0);
    }
    return least;
}

std::string place_name(const Candidate& candidate, AffinityScope scope) {
    if (scope == AffinityScope::host) return candidate.host().name;
    const auto zone = zone_of(candidate.host());
    return zone.empty() ? "the hosts without a zone" : fmt::format("zone {}", zone);
}

std::string names_at(const Candidate& candidate, std::string_view group, AffinityScope scope) {
    auto names = members(candidate, group, scope);
    const std::size_t all = names.size();
    if (all > most_names) names.resize(most_names);
    return fmt::format("{}{}", fmt::join(names, ", "),
                       all > most_names ? fmt::format(" and {} more", all - most_names) : "");
}

std::string first_at(const Candidate& candidate, std::string_view group, AffinityScope scope) {
    const auto names = members(candidate, group, scope);
    return names.empty() ? std::string() : names.front();
}

}  // namespace ballast::scheduler
