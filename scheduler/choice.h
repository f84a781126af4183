#pragma once
// How accepted hosts are compared, without a word of why: what decide() and the fleet (fleet/fleet.h) share, so that
// both choose the same host. Pure.

#include <compare>
#include <cstdint>

#include "scheduler/rules/rule.h"
#include "scheduler/scorers/catalog.h"

namespace ballast::scheduler {

/// Whether every rule accepts the host.
[[nodiscard]] bool fits(const Candidate& candidate);
/// What lies around the hosts of this request, and how they are compared.
[[nodiscard]] Surroundings surroundings(const Snapshot& snapshot, const PlacementRequest& request,
                                        const Preferences& preferences);
/// The same for a caller that knows the groups better.
[[nodiscard]] Surroundings without_groups(const PlacementRequest& request, const Preferences& preferences);
/// Scores as they are compared: floating noise must not decide between equal hosts.
[[nodiscard]] std::int64_t rank(double score);

/// Of the host's id alone, the same on every machine (FNV-1a): std::hash is not.
[[nodiscard]] std::uint64_t hash_of(const HostId& host);
/// Splitmix64's finish: tells equal hosts apart by the seed.
[[nodiscard]] constexpr std::uint64_t tie_break(std::uint64_t seed, std::uint64_t host_hash) {
    std::uint64_t hash = seed ^ host_hash;
    hash = (hash ^ (hash >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    hash = (hash ^ (hash >> 27U)) * 0x94D049BB133111EBULL;
    return hash ^ (hash >> 31U);
}

/// The place of a host among those that fit: the greatest is chosen.
struct Standing {
    std::int64_t rank = 0;
    std::uint64_t tie = 0;
    friend auto operator<=>(const Standing&, const Standing&) = default;
};

}  // namespace ballast::scheduler
