#include "scheduler/plan/judge.h"

#include "scheduler/choice.h"
#include "scheduler/rules/catalog.h"

namespace ballast::scheduler::plan {

std::vector<RuleVerdict> judge_all(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view) {
    std::vector<RuleVerdict> verdicts;
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm)};
    const Candidate candidate{snapshot, request, view, around};
    for (const RuleEntry& rule : rule_catalog()) verdicts.push_back(rule.judge(candidate));
    return verdicts;
}

bool all_accept(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view) {
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm)};
    return fits(Candidate{snapshot, request, view, around});
}

bool accept_when_empty(const Snapshot& snapshot, const PlacementRequest& request, const Host& host) {
    return all_accept(snapshot, request, {.host = &host});
}

std::size_t count_rules() {
    return rule_catalog().size();
}

}  // namespace ballast::scheduler::plan
