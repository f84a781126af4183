#include "scheduler/scorers/contention.h"

#include <algorithm>

#include "scheduler/scorers/cpu_demand.h"

namespace ballast::scheduler {

double Contention::operator()(const Candidate& candidate) const {
    if (candidate.around.load == nullptr) return 1;
    const CpuDemand demand(candidate);
    const double cores = usable_cores(candidate.host());
    const double deviation = demand.deviation();
    double wanted = 0;
    double waiting = 0;
    for (std::size_t hour = 0; hour < 24; ++hour) {
        const double mean = demand.mean_at(hour);
        wanted += mean;
        waiting += expected_excess(mean, deviation, cores);
    }
    return wanted > 0 ? std::clamp(1 - waiting / wanted, 0.0, 1.0) : 1;
}

}  // namespace ballast::scheduler
