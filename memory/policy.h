#pragma once
// The four memory policies as data: how far a controller may go. A host has one (thresholds, reserve, KSM, risk), each
// VM has one (tax, margin, steps). Pure.

#include "core/units.h"
#include "core/vm.h"

namespace ballast::memory {

struct Policy {
    bool acts = false;             ///< whether anything is changed at all
    bool ahead_of_need = false;    ///< inflate while the host still has plenty, so that all balloons together fit
    bool may_suspend = false;      ///< the last resort, for VMs that allow it too
    double idle_tax = 0.75;        ///< Waldspurger, OSDI 2002: 75 % by default
    double margin = 0.10;          ///< kept above the working set, of it
    double reserve = 0.08;         ///< of the host, kept free
    double blind_reserve = 1.5;    ///< times that, where neither pressure nor swapping of the host is known
    double step = 0.05;            ///< the most that one pass inflates, of a VM's maximum
    double dead_band = 0.01;       ///< changes below that part of the maximum are not made
    double counted_sharing = 0.5;  ///< part of the sure saving by KSM that may be promised again
    double ksm_cpu = 0.1;          ///< of one core
    double risk = 0.001;           ///< of demand that exceeds what the host can give, within the next hour
    friend bool operator==(const Policy&, const Policy&) = default;
};

/// Never less than these, whatever part of a VM they are.
inline constexpr Bytes least_margin = mebibytes(32);
inline constexpr Bytes least_step = mebibytes(64);
inline constexpr Bytes least_change = mebibytes(8);

[[nodiscard]] const Policy& policy_of(MemoryPolicy policy);

/// Memory that a host of this size keeps free: policy.reserve of it, more where the controller sees less.
[[nodiscard]] Bytes reserve_of(const Policy& policy, Bytes total, bool sees_pressure);
/// What is left to a VM above its working set.
[[nodiscard]] Bytes margin_of(const Policy& policy, Bytes working_set);

}  // namespace ballast::memory
