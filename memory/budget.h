#pragma once
// What a host has for its VMs. Counts; decides nothing. Pure.

#include <span>

#include "memory/admission.h"
#include "memory/facts.h"
#include "memory/working_set.h"

namespace ballast::memory {

struct HostBudget {
    Bytes reserve;        ///< kept free by the policy
    Bytes own;            ///< of the host itself: what is reserved for it, or what it uses where that is more
    Bytes overhead;       ///< of all QEMU processes
    Bytes for_guests;     ///< total - reserve - own - overhead; 0 at the least
    Bytes sharing;        ///< saved by KSM, as far as it may be promised: less what an hour of un-sharing takes
    Bytes available;      ///< could be given out at once
    Bytes untouched;      ///< balloons that their guests have not filled, and may at any moment
    bool plenty = false;  ///< all maximums fit without sharing
    friend bool operator==(const HostBudget&, const HostBudget&) = default;
};

/// `counted_sharing` is the policy's part of `sure_sharing`.
[[nodiscard]] HostBudget budget_of(const HostMemory& host, std::span<const VmMemory> vms, Bytes reserve,
                                   Bytes sure_sharing, double counted_sharing);

/// What may be given now, of what is available above where danger begins (in danger: above where `critical` does).
struct Gift {
    Bytes sure;    ///< it is there also when every guest has taken all it has
    Bytes likely;  ///< half of what is available now, as most guests will not; not less than what is sure
    Bytes lent;    ///< with that much given, guests that take all they have take the host to `critical`
    friend bool operator==(const Gift&, const Gift&) = default;
};
[[nodiscard]] Gift may_give(const HostBudget& budget, bool danger);

/// Guaranteed to a VM: its minimum, or its maximum where none or too much is given.
[[nodiscard]] Bytes guaranteed(const VmMemory& vm);

/// A VM's demand, for admission and for scheduler/memory_demand.h: with QEMU's own need in it. One that is not believed
/// wants all it may have.
[[nodiscard]] Demand demand_of(const VmMemory& vm, const WorkingSet& working_set);

}  // namespace ballast::memory
