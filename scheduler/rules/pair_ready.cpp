#include "scheduler/rules/pair_ready.h"

#include <algorithm>

namespace ballast::scheduler {

namespace {

bool is_move(const Candidate& candidate) {
    const PlacementRequest& request = candidate.request;
    return request.for_migration && request.from && *request.from != candidate.host().id;
}

}  // namespace

bool PairReady::fits(const Candidate& candidate) const {
    if (!is_move(candidate)) return true;
    const HostPair* pair = find_pair(candidate.snapshot, *candidate.request.from, candidate.host().id);
    return pair != nullptr &&
           std::ranges::find(pair->checks, CheckVerdict::refused, &PairCheck::verdict) == pair->checks.end();
}

RuleVerdict PairReady::operator()(const Candidate& candidate) const {
    const PlacementRequest& request = candidate.request;
    if (!is_move(candidate)) return accept("no move");
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
