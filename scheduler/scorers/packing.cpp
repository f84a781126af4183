#include "scheduler/scorers/packing.h"

#include <cmath>

#include "scheduler/scorers/share.h"

namespace ballast::scheduler {

double Packing::operator()(const Candidate& candidate) const {
    const double memory = memory_used(candidate);
    const double vcpus = vcpus_used(candidate);
    return std::sqrt((memory * memory + vcpus * vcpus) / 2);
}

}  // namespace ballast::scheduler
