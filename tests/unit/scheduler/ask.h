#pragma once
// Asks one rule about one host, both ways: the cheap answer must be the explained one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/rules/rule.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {

auto rejects(auto detail) {
    return testing::AllOf(testing::Field("accepted", &RuleVerdict::accepted, false),
                          testing::Field("detail", &RuleVerdict::detail, detail));
}
inline auto accepts() {
    return testing::Field("accepted", &RuleVerdict::accepted, true);
}

/// Asks one rule about host h1 of the cluster.
template <class Rule>
RuleVerdict ask(const Snapshot& snapshot, const PlacementRequest& request, const std::string& host = "h1") {
    const HostView view = view_host(snapshot, HostId(host), request.vm);
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm)};
    const Candidate candidate{snapshot, request, view, around};
    const RuleVerdict verdict = Rule{}(candidate);
    EXPECT_EQ(Rule{}.fits(candidate), verdict.accepted) << "the cheap answer is another one: " << verdict.detail;
    return verdict;
}

inline PlacementRequest place(const test::VmBuilder& vm) {
    PlacementRequest request;
    request.spec = vm.spec();
    request.vm = vm.build().id;
    return request;
}

inline PlacementRequest move(const test::VmBuilder& vm, const std::string& from) {
    PlacementRequest request = place(vm);
    request.for_migration = true;
    request.from = HostId(from);
    return request;
}

}  // namespace ballast::scheduler
