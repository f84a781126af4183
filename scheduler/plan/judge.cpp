#include "scheduler/plan/judge.h"

#include "scheduler/choice.h"
#include "scheduler/rules/catalog.h"

namespace ballast::scheduler::plan {

std::vector<RuleVerdict> judge_all(const Candidate& candidate) {
    std::vector<RuleVerdict> verdicts;
    for (const RuleEntry& rule : rule_catalog()) verdicts.push_back(rule.judge(candidate));
    return verdicts;
}

bool all_accept(const Candidate& candidate) {
    return fits(candidate);
}

bool accept_when_empty(const Snapshot& snapshot, const PlacementRequest& request, const Host& host) {
    const HostView empty = view_host(snapshot, host, VmId(), Residents{});
    return fits(Candidate{snapshot, request, empty, Surroundings{}});
}

std::size_t count_rules() {
    return rule_catalog().size();
}

}  // namespace ballast::scheduler::plan
