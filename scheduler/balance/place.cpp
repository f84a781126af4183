#include "scheduler/balance/place.h"

#include "scheduler/balance/state.h"

namespace ballast::scheduler::balance {

Placement place_vm(const Problem& problem, const VmRow& vm) {
    // The VM waits on a host that is not there, so that placing it is a move like every other.
    Problem with = problem;
    HostRow nowhere;
    nowhere.counted = false;
    with.hosts.push_back(nowhere);
    with.vms.push_back(vm);
    with.vms.back().home = static_cast<Index>(problem.hosts.size());
    const auto index = static_cast<Index>(problem.vms.size());
    const State<metrics_max> state(with, homes(with));

    Placement found;
    found.score_before = state.score() - problem.stranded_price;
    for (std::size_t h = 0; h < problem.hosts.size(); ++h) {
        const auto host = static_cast<Index>(h);
        const auto step = state.shift(index, host);
        if (!problem.hosts[h].counted) {
            ++found.offline;
        } else if (!state.fits(step)) {
            ++(state.free_vcpus(host) < vm.vcpus ? found.no_vcpus : found.no_memory);
        } else {
            ++found.candidates;
            const double score = state.score_after(step);
            if (found.host && score >= found.score_after) continue;
            found.host = host;
            found.score_after = score;
        }
    }
    return found;
}

}  // namespace ballast::scheduler::balance
