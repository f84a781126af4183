#pragma once
// A group of VMs at once, all or nothing. Decides where each of them goes so that all fit together, by the same rules
// and scores as decide(); never claims. A search that does not find a way proves nothing: it says which VM found no
// host and why. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "scheduler/placement.h"

namespace ballast::scheduler {

struct BatchMember {
    std::string name;
    PlacementRequest request;
};

struct BatchPlace {
    std::string name;
    HostId host;
    std::string host_name;
    friend bool operator==(const BatchPlace&, const BatchPlace&) = default;
};
BOOST_DESCRIBE_STRUCT(BatchPlace, (), (name, host, host_name))

struct BatchDecision {
    bool placed = false;             ///< all of them; false: none
    std::vector<BatchPlace> places;  ///< in the order in which they were asked for
    std::string failed;              ///< the VM that found no host beside the others
    std::optional<Decision> why;     ///< host by host, for that VM
    std::string text;
    friend bool operator==(const BatchDecision&, const BatchDecision&) = default;
};
BOOST_DESCRIBE_STRUCT(BatchDecision, (), (placed, places, failed, why, text))

[[nodiscard]] BatchDecision plan_batch(const Snapshot& snapshot, const std::vector<BatchMember>& members,
                                       std::uint64_t seed, const Preferences& preferences = {});

}  // namespace ballast::scheduler
