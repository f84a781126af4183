#pragma once
// What a VM asks of the place where it runs, beside its size: groups of VMs that belong together or apart, hosts,
// taints that it bears, devices, NUMA, and the policy by which hosts that may take it are compared. docs/RULES.md says
// what each of them means.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/units.h"

namespace ballast {

/// together: with the others of its group. apart: without any of them. limit: at most so many of them. spread: no place
/// has more than so many above the emptiest one.
enum class AffinityKind : std::uint8_t { together, apart, limit, spread };
BOOST_DESCRIBE_ENUM(AffinityKind, together, apart, limit, spread)

/// must: a rule, no other host is taken. should: a host is better where it holds.
enum class Strength : std::uint8_t { must, should };
BOOST_DESCRIBE_ENUM(Strength, must, should)

/// Of what the group's VMs share one: a host, or a zone (the host's label `zone`).
enum class AffinityScope : std::uint8_t { host, zone };
BOOST_DESCRIBE_ENUM(AffinityScope, host, zone)

/// One wish about a group. Whoever names a group is a member of it.
struct AffinityTerm {
    std::string group;
    AffinityKind kind = AffinityKind::apart;
    Strength strength = Strength::must;
    AffinityScope scope = AffinityScope::host;
    int limit = 1;  ///< limit: how many at most; spread: how many above the emptiest; else unused
    friend bool operator==(const AffinityTerm&, const AffinityTerm&) = default;
};
BOOST_DESCRIBE_STRUCT(AffinityTerm, (), (group, kind, strength, scope, limit))

/// What a host keeps VMs off with. no_place: nothing new comes. avoid: only where no other host will do. evacuate: and
/// what is there goes.
enum class TaintEffect : std::uint8_t { no_place, avoid, evacuate };
BOOST_DESCRIBE_ENUM(TaintEffect, no_place, avoid, evacuate)

struct Taint {
    std::string key;
    std::string value;
    TaintEffect effect = TaintEffect::no_place;
    friend bool operator==(const Taint&, const Taint&) = default;
};
BOOST_DESCRIBE_STRUCT(Taint, (), (key, value, effect))

/// A taint that this VM bears.
struct Toleration {
    std::string key;
    std::string value;                  ///< empty: whatever its value
    std::optional<TaintEffect> effect;  ///< null: whatever its effect
    friend bool operator==(const Toleration&, const Toleration&) = default;
};
BOOST_DESCRIBE_STRUCT(Toleration, (), (key, value, effect))

/// NUMA cells of the host on which the guest is to lie. cells 0: no wish.
struct NumaWish {
    int cells = 0;
    bool pinned = false;  ///< each vCPU on a core of its own there
    friend bool operator==(const NumaWish&, const NumaWish&) = default;
};
BOOST_DESCRIBE_STRUCT(NumaWish, (), (cells, pinned))

struct VmPlacement {
    std::vector<std::string> groups;  ///< it is a member of these, beside those that its terms name
    std::vector<AffinityTerm> affinity;
    std::vector<std::string> hosts;  ///< only on one of these, by name or id; empty: any
    std::vector<Toleration> tolerations;
    std::map<std::string, int> devices;     ///< kind -> how many; the host's `devices` say what there is
    std::vector<std::string> cpu_features;  ///< a guest there must be able to have them
    std::optional<Bytes> hugepage_size;     ///< its memory in pages of this size
    NumaWish numa;
    std::string policy;  ///< by which hosts are compared; empty: the cluster's
    friend bool operator==(const VmPlacement&, const VmPlacement&) = default;
};
BOOST_DESCRIBE_STRUCT(VmPlacement, (),
                      (groups, affinity, hosts, tolerations, devices, cpu_features, hugepage_size, numa, policy))

/// Whether the VM bears this taint.
[[nodiscard]] bool tolerates(const VmPlacement& placement, const Taint& taint);

/// Checks what can be checked without a cluster: names, counts, terms that contradict each other. Errors:
/// invalid_argument naming the field.
[[nodiscard]] Result<void> check(const VmPlacement& placement, std::string_view path);
/// The same for what a host keeps VMs off with.
[[nodiscard]] Result<void> check(const Taint& taint, std::string_view path);

}  // namespace ballast
