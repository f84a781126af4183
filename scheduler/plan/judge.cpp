#include "scheduler/plan/judge.h"

#include "scheduler/choice.h"
#include "scheduler/rules/catalog.h"

namespace ballast::scheduler::plan {

std::vector<RuleVerdict> judge_all(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view) {
    std::vector<RuleVerdict> verdicts;
    const Candidate candidate{snapshot, request, view};
    for (const RuleEntry& rule : rule_catalog()) verdicts.push_back(rule.judge(candidate));
    return verdicts;
}

bool all_accept(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view) {
    return fits(Candidate{snapshot, request, view});
}

bool accept_when_empty(const Snapshot& snapshot, const PlacementRequest& request, const Host& host) {
    return all_accept(snapshot, request, {.host = &host, .promised_memory = {}, .promised_vcpus = 0, .groups = {}});
}

std::size_t count_rules() {
    return rule_catalog().size();
}

}  // namespace ballast::scheduler::plan
