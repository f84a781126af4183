#include "scheduler/scorers/power.h"

#include <algorithm>

#include "scheduler/scorers/cpu_demand.h"

namespace ballast::scheduler {
namespace {

// A server of two sockets, where the operator gives no figures: the same for all, so that emptiness alone decides.
constexpr Watts usual_idle{100};
constexpr Watts usual_max{250};
constexpr double half = 100;  ///< watts at which the value is one half

}  // namespace

double Power::operator()(const Candidate& candidate) const {
    const HostSettings& settings = candidate.host().settings;
    const auto idle = static_cast<double>(settings.idle_power.value_or(usual_idle).count());
    const auto busy = std::max(idle, static_cast<double>(settings.max_power.value_or(usual_max).count()));
    const double cores = std::max(1.0, usable_cores(candidate.host()));
    const double added = (busy - idle) * std::min(1.0, candidate.spec().vcpus / cores);
    const bool wakes = candidate.view.promised_vcpus == 0;
    return half / (half + added + (wakes ? idle : 0));
}

}  // namespace ballast::scheduler
