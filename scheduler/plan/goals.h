#pragma once
// From a goal to a better assignment of VMs to hosts. level, evacuate and repair lower one potential (field.h) by the
// same search; consolidate and defragment look for whole hosts. Decides where VMs should be; the order is order.h's.
// Pure: chains run as the caller's `run_all` lets them, and the best is chosen by number where they tie.

#include <string>
#include <vector>

#include "scheduler/plan/descent.h"
#include "scheduler/plan/order.h"

namespace ballast::scheduler::plan {

struct Aim {
    Assignment at;
    Bundles bundles;   ///< empty: every move stands for itself
    std::string note;  ///< why there is nothing to do, where the goal knows it
    bool cut = false;
    std::vector<Index> off{};  ///< consolidate: hosts that may be powered off once they are empty
};

/// Steps that a cluster of this size deserves.
[[nodiscard]] std::uint64_t default_effort(const Model& model);

/// level, evacuate, repair.
[[nodiscard]] Aim improve(const Model& model, const MoveCosts& costs, const balance::RunAll& run_all,
                          const balance::Stop& stop);
[[nodiscard]] Aim consolidate(const Model& model, const MoveCosts& costs, const balance::Stop& stop);
[[nodiscard]] Aim make_room(const Model& model, const MoveCosts& costs, const balance::Stop& stop);

/// The order in which VMs are asked what they break, so that it is the small ones that may be moved which have to go.
[[nodiscard]] std::vector<Index> mending_order(const Model& model);
/// Marks VMs that break a rule where they are (model.must_leave); of a group that shares a host all but one. Gives what
/// each of them breaks.
std::map<Index, std::string> mark_broken(Model& model);

}  // namespace ballast::scheduler::plan
