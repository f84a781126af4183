#pragma once
// How little contention any placement of these VMs could have: what the result is measured against. Decides nothing.
// Pure.

#include "scheduler/plan/field.h"

namespace ballast::scheduler::plan {

/// Seconds over the stay. Of two bounds the larger one:
///  - one host with all cores and all memory of the cluster: (a)+ + (b)+ >= (a + b)+, so that parting demand and
///    capacity never makes less of it wait, whatever the demands' distribution;
///  - VMs that may not move, each on its host without the others: contention only grows with what is added.
[[nodiscard]] double lower_bound(const Model& model);

}  // namespace ballast::scheduler::plan
