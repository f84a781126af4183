// Policies: which weights are refused, and which host each of the built-in ones takes.
#include "scheduler/policy.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/memory_demand.h"
#include "scheduler/rules/working_set_fit.h"
#include "scheduler/scorers/catalog.h"
#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const Policy& policy) {
    const auto checked = check(policy);
    return checked ? "no error" : checked.error().message();
}

TEST(Policy, RefusesWeightsThatAreNegativeOrNoNumberByName) {
    EXPECT_THAT(error_of({"mine", {{"packing", -1}}}), AllOf(HasSubstr("policy mine"), HasSubstr("packing is -1")));
    EXPECT_THAT(error_of({"mine", {{"packing", std::nan("")}}}), HasSubstr("weight of packing is nan"));
    EXPECT_THAT(error_of({"mine", {{"power", std::numeric_limits<double>::infinity()}}}), HasSubstr("power is inf"));
    EXPECT_THAT(error_of({"mine", {{"packing", 0}}}), HasSubstr("no weight is above 0"));
    EXPECT_THAT(error_of({"mine", {{"pakcing", 1}}}), HasSubstr("did you mean 'packing'?"));
    EXPECT_THAT(error_of({"", {{"packing", 1}}}), HasSubstr("no name"));
}

TEST(Policy, BuiltInOnesAreSound) {
    for (const Policy& policy : built_in_policies()) EXPECT_EQ(error_of(policy), "no error") << policy.name;
}

TEST(Policies, ListWhatThereIsWhereANameIsUnknownAndPreferTheOwnOnes) {
    Policies policies;
    policies.own = {{"night", {{"packing", 1}}}, {"spread", {{"vcpus_left", 1}}}};
    EXPECT_EQ(policies.find("spread").value()->weights.size(), 1U);
    EXPECT_EQ(policies.find("").value()->name, "spread");
    EXPECT_THAT(policies.find("day").error().message(),
                AllOf(HasSubstr("'day'"), HasSubstr("night"), HasSubstr("pack")));
}

HostId chosen_by(const Snapshot& cluster, const VmBuilder& vm, const std::string& policy,
                 Preferences preferences = {}) {
    PlacementRequest request = place(vm);
    request.spec.placement.policy = policy;
    const Decision decision = decide(cluster, request, 1, preferences);
    EXPECT_EQ(decision.policy, policy);
    return decision.chosen.value();
}

TEST(Decide, FollowsThePolicyThatTheVmNames) {
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_vm("a").memory(gibibytes(4)).vcpus(4).on("h1").running())
                             .build();
    EXPECT_EQ(chosen_by(cluster, a_vm(), "spread"), HostId("h2"));
    EXPECT_EQ(chosen_by(cluster, a_vm(), "pack"), HostId("h1"));
    EXPECT_EQ(chosen_by(cluster, a_vm(), "power"), HostId("h1"));
    EXPECT_EQ(chosen_by(cluster, a_vm(), "latency"), HostId("h2"));
    Preferences own;
    own.policies.own = {{"mine", {{"packing", 1}}}};
    EXPECT_EQ(chosen_by(cluster, a_vm(), "mine", own), HostId("h1"));
}

TEST(Decide, TakesTheClustersPolicyWhereThatOfTheVmIsGone) {
    PlacementRequest request = place(a_vm());
    request.spec.placement.policy = "gone";
    const Decision decision = decide(a_cluster().with(a_host()).build(), request, 1);
    EXPECT_EQ(decision.policy, "spread");
    EXPECT_TRUE(decision.chosen);
}

TEST(Decide, ScoresByTheQuadraticMeanOfWhatIsUsedWhereNothingElseIsWished) {
    const auto host = a_host("h1").memory(gibibytes(16)).cpus(8);
    const auto cluster = a_cluster().with(host).build();
    const auto vm = a_vm().memory(gibibytes(4)).vcpus(8);
    const Decision decision = decide(cluster, place(vm), 1);
    const double memory = memory_demand(vm.spec(), host.build()) / gibibytes(16);
    const double vcpus = 8.0 / 32;
    EXPECT_NEAR(decision.hosts[0].score, 1 - std::sqrt((memory * memory + vcpus * vcpus) / 2), 1e-9);
}

TEST(Decide, ScoresTheSameHostLowerTheLessItsWishesHold) {
    const AffinityTerm apart{.group = "db", .kind = AffinityKind::apart, .strength = Strength::should};
    const auto cluster = a_cluster().with(a_host("h1")).with(a_vm("db1").asks(apart).on("h1").running()).build();
    const double plain = decide(cluster, place(a_vm("db2")), 1).hosts[0].score;
    const double broken = decide(cluster, place(a_vm("db2").asks(apart)), 1).hosts[0].score;
    EXPECT_LT(broken, plain);
}

TEST(MemoryDemand, IsCrudeWhereNothingIsKnownAndMeasuredWhereItIs) {
    const Host host = a_host().build();
    VmSpec spec = a_vm().memory(gibibytes(4)).spec();
    const Bytes qemu = memory_demand(spec, host) - spec.memory;
    EXPECT_EQ(memory_demand(spec, host, nullptr),
              (MemoryDemand{gibibytes(4) + qemu, gibibytes(4) + qemu, gibibytes(4) + qemu, Bytes(0)}));
    spec.memory_minimum = gibibytes(2);
    EXPECT_EQ(memory_demand(spec, host, nullptr),
              (MemoryDemand{gibibytes(4) + qemu, gibibytes(2) + qemu, gibibytes(3) + qemu, mebibytes(512)}));
    VmLoad load;
    load.working_set = gibibytes(1);
    load.working_set_deviation = mebibytes(100);
    EXPECT_EQ(memory_demand(spec, host, &load),
              (MemoryDemand{gibibytes(4) + qemu, gibibytes(2) + qemu, gibibytes(1) + qemu, mebibytes(100)}));
}

/// A host that has promised its VM less than its maximum, as the memory controller will: what the promise leaves out,
/// the working set may still want.
RuleVerdict judge_working_sets(Bytes working_set, Bytes deviation) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(8)))
                             .with(a_vm("db").memory(gibibytes(8)).on("h1").running())
                             .build();
    ClusterLoad load;
    load.vms[VmId("db")].working_set = working_set;
    load.vms[VmId("db")].working_set_deviation = deviation;
    const PlacementRequest request = place(a_vm().memory(gibibytes(1)));
    HostView view = view_host(cluster, HostId("h1"), request.vm);
    view.promised_memory = gibibytes(4);
    const Surroundings around{.groups = {}, .load = &load};
    const Candidate candidate{cluster, request, view, around};
    EXPECT_EQ(WorkingSetFit{}.fits(candidate), WorkingSetFit{}(candidate).accepted);
    return WorkingSetFit{}(candidate);
}

TEST(WorkingSetFit, RefusesWhereWorkingSetsOutgrowTheMemoryAtTheStatedRisk) {
    EXPECT_THAT(judge_working_sets(gibibytes(6), mebibytes(100)), accepts());
    const auto refused = judge_working_sets(gibibytes(6), gibibytes(1));
    EXPECT_THAT(refused, rejects(HasSubstr("at 1 % risk")));
    EXPECT_TRUE(refused.about_room);
    EXPECT_THAT(refused.fits_if, HasSubstr("leave h1"));
}

TEST(WorkingSetFit, LeavesItToMemoryFitToRefuseWhatThePromiseDoesNotFit) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(8)))
                             .with(a_vm("db").memory(gibibytes(8)).on("h1").running())
                             .build();
    EXPECT_THAT(ask<WorkingSetFit>(cluster, place(a_vm().memory(gibibytes(1)))), accepts());
}

TEST(WorkingSetFit, NeverFearsMoreThanTheMaximaOfAll) {
    ClusterLoad load;
    load.vms[VmId("db")].working_set = gibibytes(3);
    load.vms[VmId("db")].working_set_deviation = gibibytes(3);
    const auto cluster = a_cluster()
                             .with(a_host("h1").memory(gibibytes(8)))
                             .with(a_vm("db").memory(gibibytes(4)).on("h1").running())
                             .build();
    const PlacementRequest request = place(a_vm().memory(gibibytes(1)));
    const HostView view = view_host(cluster, HostId("h1"), request.vm);
    const Surroundings around{.groups = {}, .load = &load};
    EXPECT_THAT(WorkingSetFit{}(Candidate{cluster, request, view, around}), accepts());
}

}  // namespace
}  // namespace ballast::scheduler
