#pragma once
// What of a resource is used after the placement, as a share from 0 to 1. Pure.

#include <algorithm>

#include "scheduler/rules/memory_parts.h"

namespace ballast::scheduler {

/// Of nothing everything is used.
[[nodiscard]] inline double share(double used, double of) {
    return of > 0 ? std::clamp(used / of, 0.0, 1.0) : 1.0;
}

[[nodiscard]] inline double memory_used(const Candidate& candidate) {
    const MemoryUse use = memory_use(candidate);
    const Bytes used = use.there + use.fresh;
    return share(static_cast<double>(used.count()), static_cast<double>(usable_memory(candidate.host()).count()));
}

[[nodiscard]] inline double vcpus_used(const Candidate& candidate) {
    return share(candidate.view.promised_vcpus + candidate.spec().vcpus, usable_vcpus(candidate.host()));
}

}  // namespace ballast::scheduler
