// Placement where memory is promised more than once: what a VM is promised, who is asked, what an operator sees of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/capacity.h"
#include "scheduler/fleet/fleet.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/working_set_fit.h"
#include "scheduler/scorers/memory_left.h"
#include "tests/unit/scheduler/ask.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// 4 GiB, of which 1 GiB is guaranteed.
VmBuilder elastic(const std::string& name = "new") {
    return a_vm(name).memory(gibibytes(4)).minimum(gibibytes(1));
}

HostBuilder dense(const std::string& name, int gib = 8) {
    return a_host(name).memory(gibibytes(gib)).memory_policy(MemoryPolicy::balanced);
}

Bytes qemu_of(const VmBuilder& vm, const HostBuilder& host) {
    return qemu_overhead(vm.spec(), accelerator_of(host.build()));
}

Preferences asking(const std::shared_ptr<const MemoryAdmission>& memory) {
    Preferences preferences;
    preferences.memory = memory;
    return preferences;
}

RuleVerdict rule_of(const Decision& decision, std::string_view rule, std::size_t host = 0) {
    return *std::ranges::find(decision.hosts.at(host).rules, rule, &RuleVerdict::rule);
}

TEST(MemoryPromise, IsTheMinimumWhereHostAndVmMayBeOvercommitted) {
    const Host host = dense("h1").build();
    const Bytes qemu = qemu_of(elastic(), dense("h1"));
    EXPECT_EQ(memory_promise(elastic().spec(), host), gibibytes(1) + qemu);
    EXPECT_EQ(memory_promise(elastic().spec(), a_host("h2").build()), gibibytes(4) + qemu);
    EXPECT_EQ(memory_promise(elastic().memory_policy(MemoryPolicy::none).spec(), host), gibibytes(4) + qemu);
    EXPECT_EQ(memory_promise(elastic().balloon(false).spec(), host), gibibytes(4) + qemu);
    EXPECT_EQ(memory_promise(elastic().minimum(Bytes(0)).spec(), host), gibibytes(4) + qemu);
}

TEST(MemoryPromise, IsWholeForMemoryThatIsNeverGivenBack) {
    const Host host = dense("h1").build();
    VmPlacement huge;
    huge.hugepage_size = mebibytes(2);
    VmPlacement handed_through;
    handed_through.devices = {{"gpu", 1}};
    EXPECT_EQ(memory_promise(elastic().placement(huge).spec(), host), memory_demand(elastic().spec(), host));
    EXPECT_EQ(memory_promise(elastic().placement(handed_through).spec(), host), memory_demand(elastic().spec(), host));
}

TEST(MemoryDemand, OfAVmThatIsNeverSqueezedIsItsMaximumWhateverIsKnownOfIt) {
    VmLoad load;
    load.working_set = mebibytes(200);
    const VmSpec adopted = elastic().memory_policy(MemoryPolicy::none).spec();
    const Host host = dense("h1").build();
    EXPECT_EQ(memory_demand(adopted, host, &load).working_set, memory_demand(adopted, host));
    EXPECT_EQ(memory_demand(adopted, a_host("h2").build(), &load).working_set,
              mebibytes(200) + qemu_of(elastic(), dense("h1")));
}

TEST(HostView, CountsMinimumsAndHoldsWhatNoRowStandsFor) {
    const auto cluster = a_cluster()
                             .with(dense("h1", 16))
                             .with(elastic("web1").on("h1").running())
                             .with(elastic("web2").state(VmState::creating))
                             .with(a_claim("j2", "h1", "web2", memory_demand(elastic().spec(), dense("h1").build())))
                             .with(a_claim("r1", "h1", "", gibibytes(2)))
                             .build();
    const HostView view = view_host(cluster, HostId("h1"), VmId());
    const Bytes each = memory_promise(elastic().spec(), dense("h1").build());
    EXPECT_EQ(view.held_memory, gibibytes(2)) << "a reservation is whole";
    EXPECT_EQ(view.promised_memory, each * 2 + gibibytes(2));
    EXPECT_EQ(view.arriving.size(), 2U);
}

TEST(HostView, KeepsWhatAClaimAsksBeyondTheVmsRow) {
    const Bytes whole = memory_demand(elastic().spec(), dense("h1").build());
    const auto cluster = a_cluster()
                             .with(dense("h1", 16))
                             .with(elastic("web1").on("h1").running())
                             .with(a_claim("j1", "h1", "web1", whole + gibibytes(1)))
                             .build();
    const HostView view = view_host(cluster, HostId("h1"), VmId());
    EXPECT_EQ(view.held_memory, gibibytes(1));
    EXPECT_EQ(view.promised_memory, memory_promise(elastic().spec(), dense("h1").build()) + gibibytes(1));
}

TEST(MemoryFit, TakesAsManyMinimumsAsThereAreAndSaysWhatIsGuaranteed) {
    auto cluster = a_cluster().with(dense("h1", 4));
    for (const char* name : {"a", "b"}) cluster.with(elastic(name).on("h1").running());
    EXPECT_THAT(ask<MemoryFit>(cluster.build(), place(elastic())), accepts());
    cluster.with(elastic("c").on("h1").running());
    const auto refused = ask<MemoryFit>(cluster.build(), place(elastic()));
    EXPECT_THAT(refused, rejects(HasSubstr("1 GiB of 4 GiB, guaranteed,")));
    EXPECT_TRUE(refused.about_room);
    EXPECT_THAT(ask<MemoryFit>(cluster.build(), place(elastic().memory_policy(MemoryPolicy::none))),
                rejects(HasSubstr("(4 GiB and")));
}

TEST(WorkingSetFit, IsTheAnswerOfWhoeverMeasuresWhereMemoryIsOvercommitted) {
    const auto cluster = a_cluster().with(dense("h1")).with(elastic("web1").on("h1").running()).build();
    const auto idle = std::make_shared<ShareOfMaximum>(0.4);
    const auto fits = decide(cluster, place(elastic()), 1, asking(idle));
    EXPECT_TRUE(fits.chosen);
    EXPECT_THAT(rule_of(fits, "working_set_fit").detail, HasSubstr("are wanted"));
    EXPECT_THAT(idle->there, ElementsAre("web1"));
    const auto busy = decide(cluster, place(elastic()), 1, asking(std::make_shared<ShareOfMaximum>(1.0)));
    EXPECT_FALSE(busy.chosen);
    EXPECT_TRUE(rule_of(busy, "working_set_fit").about_room);
    EXPECT_THAT(rule_of(busy, "working_set_fit").fits_if, HasSubstr("leave h1"));
}

TEST(WorkingSetFit, AsksNobodyWhereNothingIsOvercommittedOrThePromisesDoNotFit) {
    const auto memory = std::make_shared<ShareOfMaximum>(1.0);
    const auto plain = a_cluster().with(a_host("h1").memory(gibibytes(8))).build();
    EXPECT_TRUE(decide(plain, place(elastic()), 1, asking(memory)).chosen);
    auto full = a_cluster().with(dense("h1", 4));  // nor would a lower minimum do
    for (const char* name : {"a", "b", "c", "d"}) full.with(elastic(name).on("h1").running());
    EXPECT_FALSE(decide(full.build(), place(elastic()), 1, asking(memory)).chosen);
    Fleet fleet(std::make_shared<const Snapshot>(full.build()));
    fleet.prefer(asking(memory));
    EXPECT_FALSE(fleet.choose(place(elastic()), 1));
    EXPECT_EQ(memory->asked, 0);
}

TEST(WorkingSetFit, CountsBothCopiesOfAVmThatMovesAndTheCacheOfItsMove) {
    Migration migration;
    migration.id = JobId("j1");
    migration.from = HostId("h1");
    migration.knobs.xbzrle = true;
    migration.knobs.xbzrle_cache = mebibytes(64);
    const Bytes whole = memory_demand(elastic().spec(), dense("h1").build());
    auto cluster = a_cluster()
                       .with(dense("h1", 32))
                       .with(dense("h2", 32))
                       .with(elastic("web1").on("h1").running())
                       .with(a_claim("j1", "h2", "web1", whole))
                       .build();
    cluster.migrations.put(migration);
    const auto memory = std::make_shared<ShareOfMaximum>(0.1);
    PlacementRequest request = place(elastic());
    for (const char* host : {"h1", "h2"}) {
        request.only = HostId(host);
        EXPECT_TRUE(decide(cluster, request, 1, asking(memory)).chosen);
        EXPECT_THAT(memory->there, ElementsAre("web1")) << host;
        EXPECT_EQ(memory->held, host == std::string("h1") ? mebibytes(64) : Bytes(0));
    }
}

TEST(WorkingSetFit, IsCrudeOnAnOvercommittedHostWhereNobodyMeasures) {
    auto cluster = a_cluster().with(dense("h1", 8));
    for (const char* name : {"a", "b"}) cluster.with(elastic(name).on("h1").running());
    EXPECT_THAT(ask<MemoryFit>(cluster.build(), place(elastic())), accepts());
    EXPECT_THAT(ask<WorkingSetFit>(cluster.build(), place(elastic())), rejects(HasSubstr("at 1 % risk")));
}

TEST(CheckClaim, OfAnOvercommittedHostKnowsWhatTheDecisionKnew) {
    auto builder = a_cluster().with(dense("h1", 8));
    for (const char* name : {"a", "b"}) builder.with(elastic(name).on("h1").running());
    const auto cluster = builder.build();
    const auto known = asking(std::make_shared<ShareOfMaximum>(0.2));
    const HostId h1("h1");
    EXPECT_FALSE(check_claim(cluster, h1, place(elastic()))) << "by the crude figures";
    EXPECT_TRUE(check_claim(cluster, h1, place(elastic()), known));
    Fleet fleet(std::make_shared<const Snapshot>(cluster));
    fleet.prefer(known);
    EXPECT_EQ(fleet.choose(place(elastic()), 1), h1);
    EXPECT_TRUE(check_claim(cluster, fleet.basis_of(h1, elastic().spec()), place(elastic())));
}

TEST(MemoryLeft, OfAnOvercommittedHostIsWhatExpectedWorkingSetsLeave) {
    const auto cluster = a_cluster()
                             .with(dense("h1", 16))
                             .with(a_host("h2").memory(gibibytes(16)))
                             .with(elastic("a").on("h1").running())
                             .with(elastic("b").on("h2").running())
                             .build();
    ClusterLoad load;
    load.vms[VmId("a")].working_set = load.vms[VmId("b")].working_set = gibibytes(2);
    const PlacementRequest request = place(elastic());
    const Surroundings around{.groups = {}, .load = &load};
    const double qemu = qemu_of(elastic(), dense("h1")) / gibibytes(16);
    const auto left = [&](const char* host) {
        const HostView view = view_host(cluster, HostId(host), request.vm);
        return MemoryLeft{}({cluster, request, view, around});
    };
    EXPECT_NEAR(left("h1"), 1 - (2 + 2.5) / 16 - 2 * qemu, 1e-9) << "the new one by the crude guess";
    EXPECT_NEAR(left("h2"), 1 - 8.0 / 16 - 2 * qemu, 1e-9) << "promises";
}

TEST(WaysOut, LowerTheMemoryOfAVmUntilTheRiskIsBorne) {
    const auto cluster = a_cluster().with(dense("h1", 8)).with(elastic("a").on("h1").running()).build();
    const auto memory = std::make_shared<ShareOfMaximum>(1.0);
    const auto decision = explain(cluster, place(elastic()), 1, asking(memory));
    ASSERT_TRUE(decision.nearest);
    const Change& change = decision.nearest->ways.front().changes.front();
    ASSERT_EQ(change.kind, ChangeKind::lower_memory) << decision.nearest->text;
    PlacementRequest lowered = place(elastic());
    lowered.spec.memory = change.memory;
    EXPECT_TRUE(decide(cluster, lowered, 1, asking(memory)).chosen);
    lowered.spec.memory += mebibytes(1);
    EXPECT_FALSE(decide(cluster, lowered, 1, asking(memory)).chosen) << "it is the smallest change";
}

TEST(WaysOut, LowerAMinimumThatDoesNotFit) {
    auto builder = a_cluster().with(dense("h1", 4));
    for (const char* name : {"a", "b"}) builder.with(elastic(name).on("h1").running());
    const auto cluster = builder.build();
    const PlacementRequest request = place(elastic().minimum(gibibytes(2)));
    const auto idle = asking(std::make_shared<ShareOfMaximum>(0.2));
    const auto decision = explain(cluster, request, 1, idle);
    EXPECT_THAT(rule_of(decision, "memory_fit").fits_if,
                AllOf(HasSubstr("its memory_minimum is lowered by "), HasSubstr(", or "), HasSubstr("freed on h1")));
    EXPECT_THAT(refusal(decision, "new").message(), HasSubstr("its memory_minimum is lowered by "));
    ASSERT_TRUE(decision.nearest);
    const Change& change = decision.nearest->ways.front().changes.front();
    ASSERT_EQ(change.kind, ChangeKind::lower_minimum) << decision.nearest->text;
    EXPECT_THAT(change.text, HasSubstr("its guaranteed minimum is lowered by "));
    PlacementRequest lowered = request;
    lowered.spec.memory_minimum = change.memory;
    EXPECT_TRUE(decide(cluster, lowered, 1, idle).chosen);
    lowered.spec.memory_minimum += mebibytes(1);
    EXPECT_FALSE(decide(cluster, lowered, 1, idle).chosen) << "it is the smallest change";
}

TEST(WaysOut, AreNoLowerMinimumWhereTheRiskIsTooHigh) {
    const auto cluster = a_cluster().with(dense("h1", 8)).with(elastic("a").on("h1").running()).build();
    const auto decision = explain(cluster, place(elastic()), 1, asking(std::make_shared<ShareOfMaximum>(1.0)));
    ASSERT_TRUE(decision.nearest);
    EXPECT_THAT(decision.nearest->text, Not(HasSubstr("minimum"))) << "what it wants does not change with it";
    EXPECT_THAT(decision.nearest->text, AllOf(HasSubstr("its memory is lowered by"), HasSubstr("a is moved away"),
                                              HasSubstr("memory policy dense")));
    EXPECT_THAT(rule_of(decision, "working_set_fit").fits_if, Not(HasSubstr("minimum")));
}

TEST(WaysOut, LowerAMinimumThatOnlyWhoeverMeasuresRefuses) {
    const auto cluster = a_cluster().with(dense("h1", 4)).with(elastic("a").on("h1").running()).build();
    const auto memory = std::make_shared<ShareOfMaximum>(0.1);
    memory->kept = gibibytes(2);
    const PlacementRequest request = place(elastic());
    const auto decision = explain(cluster, request, 1, asking(memory));
    const RuleVerdict refused = rule_of(decision, "working_set_fit");
    ASSERT_FALSE(refused.accepted);
    EXPECT_THAT(refused.fits_if, AllOf(HasSubstr("its memory_minimum is lowered by "), HasSubstr("minimums of ")));
    ASSERT_TRUE(decision.nearest);
    EXPECT_EQ(decision.nearest->ways.front().changes.front().kind, ChangeKind::lower_minimum);
    const auto fixed = decide(cluster, place(elastic().memory_policy(MemoryPolicy::none)), 1, asking(memory));
    EXPECT_THAT(rule_of(fixed, "memory_fit").fits_if, Not(HasSubstr("memory_minimum")))
        << "it is promised its whole memory";
}

TEST(WaysOut, NameNoMinimumThatWouldOnlyBeRefusedForTheRisk) {
    auto builder = a_cluster().with(dense("h1", 4));
    for (const char* name : {"a", "b"}) builder.with(elastic(name).on("h1").running());
    const auto busy = asking(std::make_shared<ShareOfMaximum>(1.0));
    const auto decision = decide(builder.build(), place(elastic().minimum(gibibytes(2))), 1, busy);
    EXPECT_THAT(rule_of(decision, "memory_fit").fits_if, Not(HasSubstr("memory_minimum")));
}

TEST(WaysOut, AreAPolicyThatBearsMoreRiskWhereThatIsEnough) {
    const auto cluster = a_cluster().with(dense("h1", 8)).with(elastic("a").on("h1").running().observed()).build();
    PlacementRequest request = place(elastic().memory(gibibytes(6)).minimum(gibibytes(5)));
    const auto decision = explain(cluster, request, 1, asking(std::make_shared<ShareOfMaximum>(1.0)));
    ASSERT_TRUE(decision.nearest);
    const Change& change = decision.nearest->ways.front().changes.front();
    EXPECT_EQ(change.kind, ChangeKind::denser_policy) << decision.nearest->text;
    EXPECT_EQ(decision.nearest->text, "it fits on h1 if h1 gets the memory policy dense, which bears more risk");
    Snapshot denser = cluster;
    apply_change(change, denser, request);
    EXPECT_EQ(denser.hosts.find(HostId("h1"))->settings.memory_policy, MemoryPolicy::dense);
    EXPECT_TRUE(decide(denser, request, 1, asking(std::make_shared<ShareOfMaximum>(1.0))).chosen);
    const auto fuller = explain(cluster, request, 1, asking(std::make_shared<ShareOfMaximum>(3.0)));
    EXPECT_FALSE(fuller.nearest) << "nothing that was tried is enough";
}

TEST(Capacity, OfAnOvercommittedClusterCountsWhatEachVmIsPromised) {
    const auto cluster = std::make_shared<const Snapshot>(a_cluster().with(dense("h1", 16).cpus(64)).build());
    const Bytes each = memory_promise(elastic().spec(), dense("h1").build());
    const auto minimums =
        find_capacity(cluster, place(elastic()), 1000, 1, asking(std::make_shared<ShareOfMaximum>(0)));
    ASSERT_TRUE(minimums);
    EXPECT_EQ(minimums->more, gibibytes(16).count() / each.count());
    EXPECT_EQ(minimums->limited_by, "memory_fit");
    const auto risk = find_capacity(cluster, place(elastic()), 1000, 1, asking(std::make_shared<ShareOfMaximum>(0.5)));
    ASSERT_TRUE(risk);
    const Bytes whole = memory_demand(elastic().spec(), dense("h1").build());
    EXPECT_EQ(risk->more, gibibytes(16).count() / (whole.count() / 2));
    EXPECT_EQ(risk->limited_by, "working_set_fit");
}

TEST(Fleet, FollowsTheRowOfAClaimedVmWhereItSaysWhatIsPromised) {
    const Bytes whole = memory_demand(elastic().spec(), dense("h1").build());
    auto cluster = a_cluster()
                       .with(dense("h1", 6))
                       .with(elastic("web1").state(VmState::creating))
                       .with(a_claim("j1", "h1", "web1", whole))
                       .build();
    const auto known = asking(std::make_shared<ShareOfMaximum>(0.1));
    Fleet fleet(std::make_shared<const Snapshot>(cluster));
    fleet.prefer(known);
    const PlacementRequest request = place(elastic("web2").minimum(gibibytes(3)));
    EXPECT_EQ(fleet.choose(request, 1), HostId("h1"));
    cluster.vms.put(elastic("web1").memory_policy(MemoryPolicy::none).state(VmState::creating).build());
    fleet.follow(std::make_shared<const Snapshot>(cluster));
    EXPECT_FALSE(decide(cluster, request, 1, known).chosen);
    EXPECT_FALSE(fleet.choose(request, 1));
}

TEST(NPlusOneRule, LetsAHostThatOvercommitsAbsorbMinimums) {
    Preferences wanted = asking(std::make_shared<ShareOfMaximum>(0.1));
    wanted.n_plus_one = NPlusOne{.strength = Strength::must, .group_label = ""};
    const auto chosen = [&](MemoryPolicy policy) {
        auto cluster = a_cluster().with(dense("h1", 16)).with(a_host("h2").memory(gibibytes(6)).memory_policy(policy));
        for (const char* name : {"a", "b"}) cluster.with(elastic(name).on("h1").running());
        PlacementRequest request = place(elastic());
        request.only = HostId("h1");
        return decide(cluster.build(), request, 1, wanted).chosen;
    };
    EXPECT_EQ(chosen(MemoryPolicy::balanced), HostId("h1")) << "three minimums fit on h2";
    EXPECT_FALSE(chosen(MemoryPolicy::none)) << "three maximums do not";
}

}  // namespace
}  // namespace ballast::scheduler
