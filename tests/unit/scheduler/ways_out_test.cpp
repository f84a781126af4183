// The smallest change that would make a host fit, and the smallest set of rules that leaves none.
#include "scheduler/ways_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(FindNearest, OffersToMoveAVmAwayOrToLowerTheMemory) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(4)))
                             .with(a_vm("db").memory(gibibytes(3)).on("h1").running())
                             .build();
    const Decision decision = explain(cluster, place(a_vm().memory(gibibytes(2))), 1);
    ASSERT_TRUE(decision.nearest);
    EXPECT_EQ(decision.nearest->host, HostId("h1"));
    ASSERT_EQ(decision.nearest->ways.size(), 2U);
    EXPECT_THAT(decision.nearest->text, AllOf(HasSubstr("it fits on h1 if "), HasSubstr("db is moved away from h1"),
                                              HasSubstr("its memory is lowered by ")));
}

TEST(FindNearest, DoesNotOfferToMoveWhatMustNotBeMovedNorToGoBelowTheMinimum) {
    auto fixed = a_vm("db").memory(gibibytes(3)).on("h1").running().build();
    fixed.spec.moves = MovePolicy::never;
    auto foreign = a_vm("old").memory(mebibytes(64)).on("h1").running().observed();
    const auto cluster = a_cluster().with(a_host("h1").memory(gibibytes(4))).with(fixed).with(foreign).build();
    PlacementRequest request = place(a_vm().memory(gibibytes(2)));
    request.spec.memory_minimum = gibibytes(2);
    EXPECT_FALSE(explain(cluster, request, 1).nearest);
}

TEST(FindNearest, PrefersTheHostThatNeedsTheLeast) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").in_maintenance().taint({"gpu", "", TaintEffect::no_place}))
                             .with(a_host("h2").taint({"gpu", "", TaintEffect::no_place}))
                             .build();
    const Decision decision = explain(cluster, place(a_vm()), 1);
    ASSERT_TRUE(decision.nearest);
    EXPECT_EQ(decision.nearest->text, "it fits on h2 if the VM bears the taints of h2");
}

TEST(FindNearest, LooksWhereMostMemoryIsLeftHoweverManyHostsThereAre) {
    auto cluster = a_cluster();
    for (int i = 10; i < 40; ++i) cluster.with(a_host(fmt::format("h{}", i)).memory(gibibytes(4)));
    const auto wide = cluster.with(a_host("z").memory(gibibytes(8))).build();
    EXPECT_EQ(explain(wide, place(a_vm().memory(gibibytes(16))), 1).nearest->host, HostId("z"));
}

TEST(FindNearest, PutsTwoChangesTogetherWhereOneIsNotEnough) {
    const auto cluster =
        a_cluster().with(a_host("h1").in_maintenance().taint({"gpu", "", TaintEffect::no_place})).build();
    const Decision decision = explain(cluster, place(a_vm()), 1);
    ASSERT_TRUE(decision.nearest);
    ASSERT_EQ(decision.nearest->ways.size(), 1U);
    EXPECT_EQ(decision.nearest->ways[0].changes.size(), 2U);
}

TEST(FindNearest, NamesWhoHasToLeaveForAGroupThatKeepsApart) {
    const auto cluster = a_cluster().with(a_host("h4")).with(a_vm("db2").group("db").on("h4").running()).build();
    const Decision decision = explain(cluster, place(a_vm("db3").group("db")), 1);
    ASSERT_TRUE(decision.nearest);
    EXPECT_EQ(decision.nearest->text, "it fits on h4 if db2 is moved away from h4");
}

TEST(Explain, NamesTheChangeForTheBestRefusedHostAlsoWhereAnotherWasChosen) {
    const auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2").in_maintenance()).build();
    EXPECT_FALSE(decide(cluster, place(a_vm()), 1).nearest) << "nobody asked";
    const Decision decision = explain(cluster, place(a_vm()), 1);
    EXPECT_EQ(decision.chosen, HostId("h1"));
    ASSERT_TRUE(decision.nearest);
    EXPECT_EQ(decision.nearest->text, "it fits on h2 if the maintenance of h2 ends");
}

TEST(FindConflict, NamesTheSmallestSetOfRulesThatLeavesNoHost) {
    VmPlacement pinned;
    pinned.hosts = {"h1"};
    const auto cluster = a_cluster()
                             .with(a_host("h1").taint({"gpu", "", TaintEffect::no_place}))
                             .with(a_host("h2").in_maintenance())
                             .with(a_host("h3"))
                             .build();
    const Decision decision = decide(cluster, place(a_vm().placement(pinned)), 1);
    ASSERT_TRUE(decision.conflict);
    EXPECT_THAT(decision.conflict->rules, ElementsAre("pinned_hosts", "taints"));
    EXPECT_THAT(refusal(decision, "web1").message(), HasSubstr("pinned_hosts and taints together leave no host"));
}

TEST(FindConflict, SaysThatAGroupIsLargerThanTheCluster) {
    auto cluster = a_cluster();
    for (const char* host : {"h1", "h2", "h3"})
        cluster.with(a_host(host)).with(a_vm(std::string("db-") + host).group("db").on(host).running());
    const Decision decision = decide(cluster.build(), place(a_vm("db4").group("db")), 1);
    ASSERT_TRUE(decision.conflict);
    EXPECT_EQ(decision.conflict->text,
              "anti_affinity alone leaves no host; group db keeps apart and has 3 VMs already, on 3 hosts that accept "
              "work");
}

TEST(FindConflict, FindsAllFourRulesWhereEachRefusesAnotherHost) {
    VmPlacement wishes;
    wishes.devices = {{"gpu", 1}};
    const auto cluster =
        a_cluster()
            .with(a_host("h1").in_maintenance().device("gpu", 1).label("disk", "ssd"))
            .with(a_host("h2").device("gpu", 1).label("disk", "ssd").taint({"x", "", TaintEffect::no_place}))
            .with(a_host("h3").label("disk", "ssd"))
            .with(a_host("h4").device("gpu", 1))
            .build();
    const auto decision = decide(cluster, place(a_vm().placement(wishes).wants_host_label("disk", "ssd")), 1);
    ASSERT_TRUE(decision.conflict);
    EXPECT_THAT(decision.conflict->rules, ElementsAre("host_ready", "host_labels", "taints", "devices"));
}

}  // namespace
}  // namespace ballast::scheduler
