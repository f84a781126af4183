#include "scheduler/scorers/redundancy_kept.h"

#include "scheduler/redundancy.h"

namespace ballast::scheduler {

double RedundancyKept::operator()(const Candidate& candidate) const {
    Redundancy* redundancy = candidate.around.redundancy;
    if (redundancy == nullptr || redundancy->wanted().strength != Strength::should) return 1;
    return redundancy->exposed_by(candidate.host(), candidate.spec()) ? 0 : 1;
}

}  // namespace ballast::scheduler
