#include "scheduler/scorers/load_left.h"

#include "scheduler/scorers/cpu_demand.h"
#include "scheduler/scorers/share.h"

namespace ballast::scheduler {

double LoadLeft::operator()(const Candidate& candidate) const {
    if (candidate.around.load == nullptr) return 1;
    return 1 - share(CpuDemand(candidate).mean(), usable_cores(candidate.host()));
}

}  // namespace ballast::scheduler
