#pragma once
// The smallest change that would let a refused host take a VM: "db2 is moved away from h4, or the VM's memory is
// lowered by 1.2 GiB". Each way that is named was tried: with its changes made, every rule accepts the host. And the
// smallest set of rules that leaves no host. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/snapshot.h"

namespace ballast::scheduler {

struct PlacementRequest;
struct Decision;
struct Preferences;

enum class ChangeKind : std::uint8_t {
    move_away,
    lower_memory,
    lower_minimum,
    denser_policy,
    fewer_vcpus,
    tolerate,
    pin_too,
    label_host,
    manage_host,
    end_maintenance
};
BOOST_DESCRIBE_ENUM(ChangeKind, move_away, lower_memory, lower_minimum, denser_policy, fewer_vcpus, tolerate, pin_too,
                    label_host, manage_host, end_maintenance)

/// One thing to do, to the VM that is to be placed, to another one, or to the host.
struct Change {
    ChangeKind kind = ChangeKind::move_away;
    HostId host = {};
    VmId vm = {};           ///< move_away: which
    Bytes memory = {};      ///< lower_memory, lower_minimum: to
    int vcpus = 0;          ///< fewer_vcpus: to
    std::string text = {};  ///< "db2 is moved away from h4"
    double effort = 0;      ///< to compare ways by; no unit
    friend bool operator==(const Change&, const Change&) = default;
};
BOOST_DESCRIBE_STRUCT(Change, (), (kind, host, vm, memory, vcpus, text, effort))

/// Changes that together are enough; none of them can be left out.
struct WayOut {
    std::vector<Change> changes;
    friend bool operator==(const WayOut&, const WayOut&) = default;
};
BOOST_DESCRIBE_STRUCT(WayOut, (), (changes))

/// The refused host that is nearest to fitting, and the ways to it, the smallest first.
struct NearestHost {
    HostId host;
    std::string name;
    std::vector<WayOut> ways;
    std::string text;  ///< "it fits on h4 if db2 is moved away from h4, or …"
    friend bool operator==(const NearestHost&, const NearestHost&) = default;
};
BOOST_DESCRIBE_STRUCT(NearestHost, (), (host, name, ways, text))

/// The fewest rules that together leave no host.
struct Conflict {
    std::vector<std::string> rules;
    std::string text;
    friend bool operator==(const Conflict&, const Conflict&) = default;
};
BOOST_DESCRIBE_STRUCT(Conflict, (), (rules, text))

/// What the snapshot and the request are like once the change is made.
void apply_change(const Change& change, Snapshot& snapshot, PlacementRequest& request);

/// Of the decision's refused hosts the one that needs the least; nothing where no single change and no two of them are
/// enough for any host. With the preferences of the decision.
[[nodiscard]] std::optional<NearestHost> find_nearest(const Snapshot& snapshot, const PlacementRequest& request,
                                                      const Decision& decision, const Preferences& preferences);

/// Precondition: no host was chosen.
[[nodiscard]] std::optional<Conflict> find_conflict(const Snapshot& snapshot, const PlacementRequest& request,
                                                    const Decision& decision);

}  // namespace ballast::scheduler
