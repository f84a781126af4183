#pragma once
// Requests that every host answers alike: equivalence classes as in Borg (Verma et al., EuroSys 2015, section 3.4).
// Decides which requests share cached answers; nothing of the answers. Pure.

#include <cstddef>

#include "scheduler/placement.h"

namespace ballast::scheduler {

/// Whether the request has a class at all: a new VM, whose disks are still to be made. What is known of a VM on some
/// host (its definitions, its data) is asked about that VM alone.
[[nodiscard]] bool has_class(const Snapshot& snapshot, const PlacementRequest& request);

/// What all requests of a class ask at least: without the wishes about other VMs (groups) and without the hosts that
/// one request leaves out. A host that refuses this refuses every request of the class.
[[nodiscard]] PlacementRequest relaxed(PlacementRequest request);

/// Whether two requests have the same relaxed one. Compares every field but those listed in the source as read by no
/// rule and no score; a field that is new counts until it is listed there.
[[nodiscard]] bool alike(const PlacementRequest& a, const PlacementRequest& b);

/// Equal for requests that are alike.
[[nodiscard]] std::size_t class_hash(const PlacementRequest& request);

}  // namespace ballast::scheduler
