// Several VMs at once, all or nothing.
#include "scheduler/batch.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

/// New VMs have no id before they are made.
std::vector<BatchMember> several(const std::vector<VmBuilder>& vms) {
    std::vector<BatchMember> members;
    for (const VmBuilder& vm : vms) {
        PlacementRequest request = place(vm);
        request.vm = VmId();
        members.push_back({vm.build().name, request});
    }
    return members;
}

std::set<HostId> hosts_in(const BatchDecision& decision) {
    std::set<HostId> hosts;
    for (const BatchPlace& place : decision.places) hosts.insert(place.host);
    return hosts;
}

TEST(PlanBatch, CountsEachForTheNext) {
    auto cluster = a_cluster();
    for (const char* host : {"h1", "h2", "h3"}) cluster.with(a_host(host).memory(gibibytes(4)));
    const auto vm = a_vm().memory(gibibytes(3));
    const BatchDecision three = plan_batch(cluster.build(), several({vm, vm, vm}), 1);
    EXPECT_TRUE(three.placed);
    EXPECT_EQ(hosts_in(three).size(), 3U);
    const BatchDecision four = plan_batch(cluster.build(), several({vm, vm, vm, vm}), 1);
    EXPECT_FALSE(four.placed);
    EXPECT_TRUE(four.places.empty());
    EXPECT_THAT(four.text, HasSubstr("none is placed"));
    ASSERT_TRUE(four.why);
    EXPECT_EQ(four.why->hosts.size(), 3U);
}

TEST(PlanBatch, PlacesTheLargeBeforeTheSmallSoThatBothFit) {
    const auto cluster =
        a_cluster().with(a_host("h1").memory(gibibytes(8))).with(a_host("h2").memory(gibibytes(4))).build();
    const BatchDecision decision =
        plan_batch(cluster, several({a_vm("small").memory(gibibytes(3)), a_vm("large").memory(gibibytes(7))}), 1);
    ASSERT_TRUE(decision.placed) << decision.text;
    EXPECT_EQ(decision.places[0], (BatchPlace{"small", HostId("h2"), "h2"}));
    EXPECT_EQ(decision.places[1], (BatchPlace{"large", HostId("h1"), "h1"}));
}

TEST(PlanBatch, AsksFirstForWhoFoundNoHostBefore) {
    VmPlacement pinned;
    pinned.hosts = {"h1"};
    const auto cluster =
        a_cluster().with(a_host("h1").memory(gibibytes(8))).with(a_host("h2").memory(gibibytes(6))).build();
    const BatchDecision decision = plan_batch(
        cluster, several({a_vm("free").memory(gibibytes(5)), a_vm("pinned").memory(gibibytes(4)).placement(pinned)}),
        1);
    ASSERT_TRUE(decision.placed) << decision.text;
    EXPECT_EQ(decision.places[1].host, HostId("h1"));
}

TEST(PlanBatch, KeepsAGroupApart) {
    auto cluster = a_cluster();
    for (const char* host : {"h1", "h2", "h3"}) cluster.with(a_host(host));
    const auto vm = a_vm().group("db");
    EXPECT_EQ(hosts_in(plan_batch(cluster.build(), several({vm, vm, vm}), 1)).size(), 3U);
    const BatchDecision larger = plan_batch(cluster.build(), several({vm, vm, vm, vm}), 1);
    EXPECT_FALSE(larger.placed);
    ASSERT_TRUE(larger.why && larger.why->conflict);
    EXPECT_THAT(larger.why->conflict->text,
                HasSubstr("group db keeps apart and has 3 VMs already, on 3 hosts that accept work"));
}

TEST(PlanBatch, FindsTheHostThatIsLargeEnoughForAGroupThatKeepsTogether) {
    const AffinityTerm together{.group = "db", .kind = AffinityKind::together};
    auto cluster = a_cluster();
    for (const char* host : {"h1", "h2", "h3"}) cluster.with(a_host(host).memory(gibibytes(5)).cpus(32));
    cluster.with(a_host("h4").memory(gibibytes(9)).cpus(2));  // the only one that is large enough, and the worst
    cluster.with(a_vm("filler").memory(mebibytes(64)).vcpus(6).on("h4").running());
    const auto vm = a_vm().memory(gibibytes(4)).asks(together);
    const BatchDecision decision = plan_batch(cluster.build(), several({vm, vm}), 1);
    ASSERT_TRUE(decision.placed) << decision.text;
    EXPECT_EQ(hosts_in(decision), std::set{HostId("h4")});
}

TEST(PlanBatch, OfNothingIsPlaced) {
    EXPECT_TRUE(plan_batch(Snapshot{}, {}, 1).placed);
}

}  // namespace
}  // namespace ballast::scheduler
