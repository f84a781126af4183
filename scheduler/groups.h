#pragma once
// Where the VMs of a group lie, and what the group demands, counted once from a Snapshot. A group's demands are those
// of all its members that count somewhere (host_view.h): who joins a group that keeps apart is kept apart, too. Decides
// nothing (rules/ does). Pure.

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/snapshot.h"

namespace ballast::scheduler {

/// What must hold for a group, by kind and scope; of two limits the stricter one. 0: not demanded.
class GroupDemand {
  public:
    void add(const AffinityTerm& term);
    void add(const GroupDemand& other);
    [[nodiscard]] int at(AffinityKind kind, AffinityScope scope) const {
        return least_[std::to_underlying(kind)][std::to_underlying(scope)];
    }
    [[nodiscard]] bool empty() const { return *this == GroupDemand{}; }
    friend bool operator==(const GroupDemand&, const GroupDemand&) = default;

  private:
    void lower(AffinityKind kind, AffinityScope scope, int limit);
    std::array<std::array<int, 2>, 4> least_{};
};

/// Members in one zone: all, and those on hosts that accept work. A member on a host that accepts none (maintenance,
/// drained) counts where VMs keep apart, but does not draw the others to it: it is to leave.
struct GroupInZone {
    int members = 0;
    int settled = 0;
};

struct GroupFacts {
    GroupDemand demand;
    std::map<HostId, int> by_host;  ///< members, on hosts that accept work
    std::map<std::string, GroupInZone, std::less<>> by_zone;
    std::map<std::string, int, std::less<>> by_rack;
    int settled = 0;  ///< members on hosts that accept work
    int members = 0;
};

struct Groups {
    std::map<std::string, GroupFacts, std::less<>> of;
    std::map<std::string, int, std::less<>> zones;  ///< zone -> its hosts that accept work
    int hosts = 0;                                  ///< that accept work

    [[nodiscard]] const GroupFacts* find(std::string_view group) const {
        const auto at = of.find(group);
        return at != of.end() ? &at->second : nullptr;
    }
};

/// Calls `visit(group)` once for each group that the VM is a member of.
template <class Visit>
void for_each_group(const std::string& anti_affinity, const VmPlacement& placement, Visit visit) {
    const auto seen_before = [&](const std::string& group, std::size_t listed, std::size_t terms) {
        if (group == anti_affinity) return true;
        for (std::size_t i = 0; i < listed; ++i)
            if (placement.groups[i] == group) return true;
        for (std::size_t i = 0; i < terms; ++i)
            if (placement.affinity[i].group == group) return true;
        return false;
    };
    if (!anti_affinity.empty()) visit(anti_affinity);
    for (std::size_t i = 0; i < placement.groups.size(); ++i)
        if (!seen_before(placement.groups[i], i, 0)) visit(placement.groups[i]);
    for (std::size_t i = 0; i < placement.affinity.size(); ++i)
        if (const auto& group = placement.affinity[i].group; !seen_before(group, placement.groups.size(), i))
            visit(group);
}

template <class Visit>
void for_each_group(const VmSpec& spec, Visit visit) {
    for_each_group(spec.anti_affinity, spec.placement, visit);
}

[[nodiscard]] bool has_groups(const VmSpec& spec);
[[nodiscard]] bool is_member(const VmSpec& spec, std::string_view group);

/// What this VM itself demands of the group.
[[nodiscard]] GroupDemand demand_of(const std::string& anti_affinity, const VmPlacement& placement,
                                    std::string_view group);

}  // namespace ballast::scheduler
