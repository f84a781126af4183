#include "scheduler/scorers/room_for_big.h"

#include <algorithm>
#include <cmath>

#include "scheduler/rules/memory_parts.h"

namespace ballast::scheduler {
namespace {

/// Places for VMs of half the host: by memory and by vCPUs, whichever gives fewer.
double places(const Host& host, Bytes free_memory, int free_vcpus) {
    const Bytes big = usable_memory(host) / 2;
    const int vcpus = usable_vcpus(host) / 2;
    if (big <= Bytes(0) || vcpus <= 0) return 0;
    return std::max(0.0, std::min(std::floor(free_memory / big), std::floor(static_cast<double>(free_vcpus) / vcpus)));
}

}  // namespace

double RoomForBig::operator()(const Candidate& candidate) const {
    const Host& host = candidate.host();
    const MemoryUse use = memory_use(candidate);
    const Bytes free = saturating_sub(usable_memory(host), use.there);
    const int vcpus = candidate.view.free_vcpus();
    const double before = places(host, free, vcpus);
    if (before == 0) return 1;
    const Bytes left = saturating_sub(free, use.fresh);
    return places(host, left, vcpus - candidate.spec().vcpus) / before;
}

}  // namespace ballast::scheduler
