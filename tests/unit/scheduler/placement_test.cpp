// Decisions: what is chosen, what a refusal says, and the guard.
#include "scheduler/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "scheduler/rules/catalog.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

PlacementRequest place(const VmBuilder& vm) {
    PlacementRequest request;
    request.spec = vm.spec();
    request.vm = vm.build().id;
    return request;
}

TEST(Decide, SpreadsByTheResourceThatIsScarcest) {
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_host("h3"))
                             .with(a_vm("a").memory(gibibytes(8)).on("h1").running())
                             .with(a_vm("b").vcpus(8).on("h2").running())
                             .build();
    const Decision decision = decide(cluster, place(a_vm()), 1);
    EXPECT_EQ(decision.chosen, HostId("h3"));
}

TEST(Decide, BreaksTiesBySeedAndAlwaysAlike) {
    auto cluster = a_cluster();
    for (int i = 0; i < 16; ++i) cluster.with(a_host("h" + std::to_string(i)));
    std::set<HostId> chosen;
    for (std::uint64_t seed = 0; seed < 64; ++seed) {
        const Decision decision = decide(cluster.build(), place(a_vm()), seed);
        EXPECT_EQ(decision, decide(cluster.build(), place(a_vm()), seed));
        chosen.insert(decision.chosen.value());
    }
    EXPECT_GT(chosen.size(), 8U);
}

TEST(Decide, AsksOnlyTheHostThatTheOperatorNamed) {
    PlacementRequest request = place(a_vm());
    request.only = HostId("h2");
    const Decision decision = decide(a_cluster().with(a_host("h1")).with(a_host("h2")).build(), request, 1);
    EXPECT_EQ(decision.chosen, HostId("h2"));
    EXPECT_EQ(decision.hosts.size(), 1U);
}

TEST(Decide, KeepsSequenceSeedAndEveryRuleForTheReplay) {
    const Decision decision = decide(a_cluster().with(a_host()).at_seq(42).build(), place(a_vm()), 7);
    EXPECT_EQ(decision.snapshot_seq, 42U);
    EXPECT_EQ(decision.seed, 7U);
    ASSERT_EQ(decision.hosts.size(), 1U);
    EXPECT_EQ(decision.hosts[0].rules.size(), rule_catalog().size());
    EXPECT_EQ(decision.hosts[0].terms.size(), built_in_policies().front().weights.size());
}

TEST(Decide, GoesThroughJsonUnchanged) {
    const Decision decision =
        decide(a_cluster().with(a_host("h1")).with(a_host("h2").observed()).build(), place(a_vm()), 7);
    const auto read = parse_as<Decision>(to_json_text(decision), "decision");
    ASSERT_TRUE(read) << read.error().chain();
    EXPECT_EQ(*read, decision);
}

TEST(Refusal, ListsEveryHostWithItsRuleAndNumbers) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(1)))
                             .with(a_host("h2").observed())
                             .with(a_host("h3").state(HostState::unreachable, "timed out"))
                             .build();
    const Decision decision = decide(cluster, place(a_vm().memory(gibibytes(2))), 1);
    EXPECT_FALSE(decision.chosen);
    const Error error = refusal(decision, "web1");
    EXPECT_THAT(error.message(), AllOf(HasSubstr("web1"), HasSubstr("h1 (memory_fit: needs 2.1 GiB"),
                                       HasSubstr("h2 (host_ready: only observed"),
                                       HasSubstr("h3 (host_ready: unreachable (timed out))")));
    EXPECT_EQ(error.code(), Code::failed_precondition);
}

TEST(Refusal, OfManyHostsNamesTheFirstAndCountsTheRestByRule) {
    auto cluster = a_cluster();
    for (int i = 100; i < 130; ++i) cluster.with(a_host(fmt::format("h{}", i)).memory(gibibytes(1)));
    cluster.with(a_host("h130").observed());
    const std::string message =
        refusal(decide(cluster.build(), place(a_vm().memory(gibibytes(2))), 1), "web1").message();
    EXPECT_THAT(message, AllOf(HasSubstr("h107 (memory_fit"), ::testing::Not(HasSubstr("h108 (")),
                               HasSubstr("and 23 more (host_ready on 1, memory_fit on 22")));
}

TEST(Refusal, IsResourceExhaustedWhereOnlyRoomIsMissingAndNamesTheChange) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(4)))
                             .with(a_vm("db").memory(gibibytes(3)).on("h1").running())
                             .build();
    const Error error = refusal(decide(cluster, place(a_vm().memory(gibibytes(2))), 1), "web1");
    EXPECT_EQ(error.code(), Code::resource_exhausted);
    EXPECT_THAT(error.message(), HasSubstr("it fits on h1 if 1.2 GiB are freed on h1"));
}

TEST(Refusal, SaysWhatToDoWithoutAnyHost) {
    EXPECT_THAT(refusal(decide(Snapshot{}, place(a_vm()), 1), "web1").message(), HasSubstr("ballast host add"));
}

TEST(CheckClaim, RefusesTheSecondOfTwoThatWantTheSameRoom) {
    Snapshot snapshot = a_cluster().with(a_host("h1").memory(gibibytes(4))).build();
    const auto first = place(a_vm("a").memory(gibibytes(3)));
    const auto second = place(a_vm("b").memory(gibibytes(3)));
    ASSERT_TRUE(check_claim(snapshot, HostId("h1"), first));
    ASSERT_TRUE(check_claim(snapshot, HostId("h1"), second));
    snapshot.claims.put(make_claim(snapshot, HostId("h1"), first, JobId("j1"), {}));
    EXPECT_TRUE(check_claim(snapshot, HostId("h1"), first)) << "its own claim must not stand in its way";
    const auto refused = check_claim(snapshot, HostId("h1"), second);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::resource_exhausted);
    EXPECT_THAT(refused.error().message(), HasSubstr("memory_fit"));
}

TEST(CheckClaim, RefusesAHostThatIsNoLongerReadyOrNoLongerThere) {
    const auto request = place(a_vm());
    EXPECT_EQ(check_claim(a_cluster().with(a_host().in_maintenance()).build(), HostId("h1"), request).error().code(),
              Code::failed_precondition);
    EXPECT_EQ(check_claim(Snapshot{}, HostId("h1"), request).error().code(), Code::not_found);
}

TEST(MakeClaim, HoldsWhatTheHostViewWillCount) {
    Snapshot snapshot = a_cluster().with(a_host("h1")).build();
    const auto request = place(a_vm("a").memory(gibibytes(1)).vcpus(2).group("g"));
    const Claim claim = make_claim(snapshot, HostId("h1"), request, JobId("j1"), {});
    EXPECT_GT(claim.memory, gibibytes(1));
    EXPECT_EQ(claim.vcpus, 2);
    EXPECT_EQ(claim.anti_affinity, "g");
    EXPECT_EQ(claim.vm, VmId("a"));
}

}  // namespace
}  // namespace ballast::scheduler
