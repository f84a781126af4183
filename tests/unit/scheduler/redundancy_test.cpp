// N+1 as decide() asks for it: as a rule, as a wish, within groups of hosts.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/placement.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::HasSubstr;

PlacementRequest one_like(const VmBuilder& vm) {
    PlacementRequest request;
    request.spec = vm.spec();
    request.vm = VmId("new");
    return request;
}

Preferences n_plus_one(Strength strength, const std::string& label = "") {
    Preferences preferences;
    preferences.n_plus_one = NPlusOne{.strength = strength, .group_label = label};
    return preferences;
}

RuleVerdict verdict_of(const Decision& decision, const std::string& host) {
    const auto at = std::ranges::find(decision.hosts, host, &HostVerdict::name);
    return *std::ranges::find(at->rules, "n_plus_one", &RuleVerdict::rule);
}

/// h1 runs 6 GiB; of the others only h2 could take it over.
ClusterBuilder lopsided() {
    return a_cluster()
        .with(a_host("h1").memory(gibibytes(8)))
        .with(a_host("h2").memory(gibibytes(8)))
        .with(a_host("h3").memory(gibibytes(4)))
        .with(a_vm("big").memory(gibibytes(6)).on("h1").running());
}

TEST(NPlusOneRule, RefusesTheHostThatAnothersVmsWouldNeed) {
    const auto snapshot = lopsided().build();
    const auto request = one_like(a_vm().memory(gibibytes(3)));
    EXPECT_EQ(decide(snapshot, request, 1).chosen, HostId("h2")) << "the emptiest, where N+1 is not asked for";
    const auto decision = decide(snapshot, request, 1, n_plus_one(Strength::must));
    EXPECT_EQ(decision.chosen, HostId("h3"));
    const auto refused = verdict_of(decision, "h2");
    EXPECT_FALSE(refused.accepted);
    EXPECT_TRUE(refused.about_room);
    EXPECT_THAT(refused.detail, HasSubstr("the VMs of h1 would need"));
}

TEST(NPlusOneRule, RefusesTheVmThatNobodyCouldTakeOver) {
    const auto snapshot =
        a_cluster().with(a_host("h1").memory(gibibytes(16))).with(a_host("h2").memory(gibibytes(4))).build();
    const auto decision = decide(snapshot, one_like(a_vm().memory(gibibytes(8))), 1, n_plus_one(Strength::must));
    EXPECT_FALSE(decision.chosen);
    EXPECT_THAT(verdict_of(decision, "h1").detail, HasSubstr("if it failed"));
}

TEST(NPlusOneRule, AsAWishPrefersAnotherHostAndRefusesNone) {
    const auto snapshot = lopsided().build();
    const auto request = one_like(a_vm().memory(gibibytes(3)));
    EXPECT_EQ(decide(snapshot, request, 1, n_plus_one(Strength::should)).chosen, HostId("h3"));
    const auto larger = decide(snapshot, one_like(a_vm().memory(gibibytes(5))), 1, n_plus_one(Strength::should));
    EXPECT_EQ(larger.chosen, HostId("h2")) << "no host is without loss, and the VM must run";
}

TEST(NPlusOneRule, HostsAbsorbEachOtherWithinTheirGroup) {
    auto cluster = a_cluster();
    for (const char* name : {"a1", "a2"}) cluster.with(a_host(name).label("rack", "a"));
    cluster.with(a_host("b1").label("rack", "b"));
    const auto decision = decide(cluster.build(), one_like(a_vm()), 1, n_plus_one(Strength::must, "rack"));
    EXPECT_TRUE(verdict_of(decision, "a1").accepted);
    EXPECT_FALSE(verdict_of(decision, "b1").accepted) << "it is alone in its rack";
}

}  // namespace
}  // namespace ballast::scheduler
