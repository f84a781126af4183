#include "scheduler/fleet/request_class.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

namespace ballast::scheduler {
namespace {

/// Read by no rule and no score: names, addresses and what only the guest or a later job knows. `boot` is read where
/// memory is overcommitted: VMs that boot one kernel are alike.
template <class Row>
constexpr std::array<std::string_view, 0> not_asked{};
template <>
constexpr std::array<std::string_view, 5> not_asked<VmSpec>{"serial", "labels", "autostart", "moves", "migration"};
template <>
constexpr std::array<std::string_view, 2> not_asked<NicSpec>{"mac", "model"};
template <>
constexpr std::array<std::string_view, 4> not_asked<DiskSpec>{"target", "format", "bus", "cache"};
/// What relaxed() leaves out.
template <>
constexpr std::array<std::string_view, 2> not_asked<VmPlacement>{"groups", "affinity"};

bool same(const DiskSpec& a, const DiskSpec& b);
bool same(const NicSpec& a, const NicSpec& b);
bool same(const VmPlacement& a, const VmPlacement& b);

template <class Value>
bool same(const Value& a, const Value& b) {
    return a == b;
}

template <class Row>
bool same(const std::vector<Row>& a, const std::vector<Row>& b) {
    return std::ranges::equal(a, b, [](const Row& one, const Row& other) { return same(one, other); });
}

template <class Row>
bool same_fields(const Row& a, const Row& b) {
    bool equal = true;
    boost::mp11::mp_for_each<boost::describe::describe_members<Row, boost::describe::mod_public>>([&](auto field) {
        constexpr std::string_view name = decltype(field)::name;
        constexpr bool counts = std::ranges::find(not_asked<Row>, name) == not_asked<Row>.end();
        if constexpr (counts) equal = equal && same(a.*field.pointer, b.*field.pointer);
    });
    return equal;
}

bool same(const DiskSpec& a, const DiskSpec& b) {
    return same_fields(a, b);
}
bool same(const NicSpec& a, const NicSpec& b) {
    return same_fields(a, b);
}
bool same(const VmPlacement& a, const VmPlacement& b) {
    return same_fields(a, b);
}

void mix(std::size_t& hash, std::size_t value) {
    hash ^= value + 0x9E3779B97F4A7C15ULL + (hash << 6U) + (hash >> 2U);
}

}  // namespace

bool has_class(const Snapshot& snapshot, const PlacementRequest& request) {
    if (request.only || request.for_migration || request.from || request.copy_disks) return false;
    if (std::ranges::any_of(request.spec.disks,
                            [](const DiskSpec& disk) { return !disk.volume.empty() || !disk.path.empty(); }))
        return false;
    const Vm* vm = snapshot.vms.find(request.vm);
    return vm == nullptr || (!vm->host && vm->definitions.empty());
}

PlacementRequest relaxed(PlacementRequest request) {
    request.vm = VmId();
    request.exclude.clear();
    request.spec.anti_affinity.clear();
    request.spec.placement.groups.clear();
    request.spec.placement.affinity.clear();
    return request;
}

bool alike(const PlacementRequest& a, const PlacementRequest& b) {
    const VmSpec& one = a.spec;
    const VmSpec& other = b.spec;
    bool equal = true;
    boost::mp11::mp_for_each<boost::describe::describe_members<VmSpec, boost::describe::mod_public>>([&](auto field) {
        constexpr std::string_view name = decltype(field)::name;
        constexpr bool listed = std::ranges::find(not_asked<VmSpec>, name) != not_asked<VmSpec>.end();
        if constexpr (!listed && name != "anti_affinity")  // anti_affinity: relaxed() leaves it out
            equal = equal && same(one.*field.pointer, other.*field.pointer);
    });
    return equal;
}

std::size_t class_hash(const PlacementRequest& request) {
    const VmSpec& spec = request.spec;
    std::size_t hash = static_cast<std::size_t>(spec.memory.count());
    mix(hash, static_cast<std::size_t>(spec.vcpus));
    mix(hash, spec.disks.size());
    mix(hash, spec.nics.size());
    mix(hash, std::hash<std::string>{}(spec.machine));
    mix(hash, std::hash<std::string>{}(spec.cpu_model));
    for (const auto& [key, value] : spec.host_labels) {
        mix(hash, std::hash<std::string>{}(key));
        mix(hash, std::hash<std::string>{}(value));
    }
    return hash;
}

}  // namespace ballast::scheduler
