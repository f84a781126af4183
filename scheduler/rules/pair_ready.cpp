#include "scheduler/rules/pair_ready.h"

namespace ballast::scheduler {

RuleVerdict PairReady::operator()(const Candidate& candidate) const {
    const PlacementRequest& request = candidate.request;
    if (!request.for_migration || !request.from || *request.from == candidate.host().id) return accept("no move");
    const std::string from = host_name(candidate.snapshot, *request.from);
    const std::string& to = candidate.host().name;
    const HostPair* pair = find_pair(candidate.snapshot, *request.from, candidate.host().id);
    if (pair == nullptr)
        return fits_if(reject("moves from {} to {} were never checked", from, to),
                       fmt::format("ballast host check-pair {} {}", from, to));
    for (const PairCheck& check : pair->checks)
        if (check.verdict == CheckVerdict::refused)
            return fits_if(reject("moves from {} are refused by {}: {}", from, check.name, check.detail),
                           check.way_out);
    return accept("moves from {} passed {} checks", from, pair->checks.size());
}

}  // namespace ballast::scheduler
