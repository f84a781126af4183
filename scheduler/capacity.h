#pragma once
// Capacity: how many more VMs of one spec the cluster takes, and where it breaks. Answers by placing them one after the
// other as the placer would, by every rule, each counted as it will count there, until no host takes the next or the
// limit is reached. Decides nothing for good. Pure: same snapshot, spec and seed, same answer.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "scheduler/placement.h"

namespace ballast::scheduler {

/// One host once no more fits, or the limit is reached.
struct HostCapacity {
    HostId host;
    std::string name;
    std::int64_t more = 0;   ///< VMs of the spec that came to it
    std::string limited_by;  ///< the rule that refuses the next one; empty: it would take more
    std::string detail;
    std::string fits_if;
    friend bool operator==(const HostCapacity&, const HostCapacity&) = default;
};
BOOST_DESCRIBE_STRUCT(HostCapacity, (), (host, name, more, limited_by, detail, fits_if))

/// The first host that took one and can take no more.
struct FirstBreak {
    std::int64_t after = 0;  ///< VMs of the spec, in the whole cluster
    std::string host;
    std::string rule;
    std::string detail;
    friend bool operator==(const FirstBreak&, const FirstBreak&) = default;
};
BOOST_DESCRIBE_STRUCT(FirstBreak, (), (after, host, rule, detail))

struct Capacity {
    std::int64_t more = 0;
    bool at_least = false;   ///< the limit was reached: there is room for more
    std::string limited_by;  ///< the rule that refuses the next one on most of the hosts that took some (or on most)
    std::string summary;     ///< one sentence
    std::optional<FirstBreak> first_break;
    std::vector<HostCapacity> hosts;  ///< by name
    std::uint64_t snapshot_seq = 0;
    friend bool operator==(const Capacity&, const Capacity&) = default;
};
BOOST_DESCRIBE_STRUCT(Capacity, (), (more, at_least, limited_by, summary, first_break, hosts, snapshot_seq))

inline constexpr std::int64_t most_capacity = 1'000'000;

/// `request.vm` is not used: each of them is a VM of its own. Errors: invalid_argument (limit).
[[nodiscard]] Result<Capacity> find_capacity(std::shared_ptr<const Snapshot> snapshot, PlacementRequest request,
                                             std::int64_t limit, std::uint64_t seed,
                                             const Preferences& preferences = {});

}  // namespace ballast::scheduler
