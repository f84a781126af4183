// cluster.rebalance on simulated hosts, with a planner of the test's own: what is carried out, what is left out and
// why, and what happens when reality moves away from the plan.
#include <cmath>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/jobs/plan_fixture.h"

namespace ballast::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class Rebalance : public PlanFixture {
  public:
    /// A migration is sending memory: it goes on without the daemon (SAFETY.md 6).
    [[nodiscard]] bool pushing() const {
        return cluster.snapshot()->migrations.find_if(
                   [](const Migration& row) { return row.phase == MigrationPhase::push; }) != nullptr;
    }
};

TEST_F(Rebalance, CarriesAPlanOutAndKeepsItsOrder) {
    for (const char* name : {"web1", "web2", "web3"}) make_vm(name);
    wishes = {{"web1", "h2"}, {"web2", "h3"}, {"web3", "h2", {"web1", "web2"}}};
    const PlanId id = advise();
    EXPECT_EQ(row(id).state, PlanStage::advised);
    const Job job = carry_out(id);
    ASSERT_EQ(job.state, JobState::succeeded) << (job.error ? job.error->message : "");
    EXPECT_THAT(names(job, "moved"), ElementsAre("web1", "web2", "web3"));
    EXPECT_EQ(where("web1"), "h2");
    EXPECT_EQ(where("web2"), "h3");
    EXPECT_EQ(where("web3"), "h2");
    EXPECT_EQ(row(id).state, PlanStage::applied);
    EXPECT_EQ(row(id).job, job.id);
    EXPECT_EQ(planned, 1) << "nothing went elsewhere, so nothing is planned again";
    const auto migration_of = [&](const char* name) {
        const Vm vm = *cluster.vm(name);
        return *cluster.snapshot()->migrations.find_if([&](const Migration& one) { return one.vm == vm.id; });
    };
    EXPECT_GE(migration_of("web3").started, *migration_of("web1").finished);
    EXPECT_GE(migration_of("web3").started, *migration_of("web2").finished);
}

TEST_F(Rebalance, IsBusyWithNoMoreMigrationsOfAHostThanItsLanes) {
    for (const char* name : {"a", "b", "c", "d"}) make_vm(name);
    wishes = {{"a", "h2"}, {"b", "h3"}, {"c", "h2"}, {"d", "h3"}};
    const auto job = apply(advise());
    ASSERT_TRUE(job);
    std::size_t most = 0;
    ASSERT_TRUE(cluster.until([&] {
        std::size_t open = 0;
        cluster.snapshot()->jobs.for_each(
            [&](const Job& one) { open += one.kind == "vm.migrate" && !is_finished(one.state) ? 1 : 0; });
        most = std::max(most, open);
        return is_finished(cluster.snapshot()->jobs.find(*job)->state);
    }));
    EXPECT_EQ(most, 2U) << "side by side, but each judged when its turn has come";
    EXPECT_EQ(cluster.snapshot()->jobs.find(*job)->state, JobState::succeeded);
}

TEST_F(Rebalance, AVmThatIsDeletedDuringTheApplyIsLeftOutAndTheOthersMove) {
    for (const char* name : {"web1", "gone", "web3"}) make_vm(name);
    wishes = {{"web1", "h2"}, {"gone", "h3", {"web1"}}, {"web3", "h3", {"web1"}}};
    const auto job = apply(advise());
    ASSERT_TRUE(job);
    const auto removed = cluster.do_job("vm.delete", "gone", R"({"force":true})");
    ASSERT_TRUE(removed && removed->state == JobState::succeeded);
    const auto ended = cluster.wait(*job);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->state, JobState::succeeded) << (ended->error ? ended->error->message : "");
    EXPECT_THAT(names(*ended, "moved"), UnorderedElementsAre("web1", "web3"));
    EXPECT_THAT(names(*ended, "skipped"), ElementsAre("gone"));
    EXPECT_THAT(reason(*ended, "skipped"), HasSubstr("gone"));
}

TEST_F(Rebalance, AHostThatVanishesDuringTheApplyIsPlannedAround) {
    for (const char* name : {"web1", "web2"}) make_vm(name);
    wishes = {{"web1", "h3"}, {"web2", "h2", {"web1"}}};
    wishes_then = {{"web2", "h3"}};
    const PlanId id = advise();
    cluster.world->faults().crash("h2");
    ASSERT_TRUE(cluster.until([&] { return cluster.host("h2")->state == HostState::unreachable; }));
    const Job job = carry_out(id);
    EXPECT_EQ(job.state, JobState::succeeded) << (job.error ? job.error->message : "");
    EXPECT_EQ(where("web1"), "h3");
    EXPECT_EQ(where("web2"), "h3") << "the rest was planned again";
    EXPECT_EQ(planned, 2);
    EXPECT_EQ(Json::parse(job.result.text)["replans"], 1);
    EXPECT_THAT(events("plan.replanned"), SizeIs(1));
}

TEST_F(Rebalance, IsPlannedAgainOnlySoOften) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    cluster.planner.check = [](const Snapshot&, const ClusterPlan&, const PlanStep&,
                               const scheduler::Preferences&) -> Result<void> {
        return fail(Code::resource_exhausted, "no room any more");
    };
    const Job job = carry_out(advise());
    EXPECT_EQ(job.state, JobState::succeeded) << "nothing was forced, nothing failed";
    EXPECT_THAT(names(job, "skipped"), ElementsAre("web1"));
    EXPECT_EQ(planned, 1 + cluster.balance.replans);
    EXPECT_EQ(where("web1"), "h1");
}

TEST_F(Rebalance, AFailureStopsOnlyWhatNeedsIt) {
    for (const char* name : {"bad", "needs", "free"}) make_vm(name);
    wishes = {{"bad", "h2"}, {"needs", "h3", {"bad"}}, {"free", "h3"}};
    wishes_then = {{"bad", "h2"}};
    change_vm("bad", [](Vm& vm) { vm.spec.host_labels["rack"] = "no host has it"; });
    const PlanId id = advise();
    const Job job = carry_out(id);
    EXPECT_EQ(job.state, JobState::failed);
    ASSERT_TRUE(job.error);
    EXPECT_THAT(job.error->message, HasSubstr("bad to h2"));
    EXPECT_THAT(names(job, "moved"), ElementsAre("free"));
    EXPECT_THAT(names(job, "failed"), ElementsAre("bad"));
    EXPECT_EQ(row(id).state, PlanStage::failed);
    EXPECT_EQ(where("needs"), "h1");
    int tries = 0;
    cluster.snapshot()->jobs.for_each([&](const Job& one) { tries += one.kind == "vm.migrate" ? 1 : 0; });
    EXPECT_EQ(tries, 3) << "what failed is tried once more in this run, and no more";
}

TEST_F(Rebalance, AMoveThatFailedForAMomentIsMadeByTheNextPlan) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    wishes_then = {{"web1", "h3"}};
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::migrate,
                                      Error(Code::unavailable, "a moment ago"));
    const PlanId id = advise();
    const Job job = carry_out(id);
    EXPECT_EQ(job.state, JobState::succeeded) << (job.error ? job.error->message : "");
    EXPECT_EQ(where("web1"), "h3");
    EXPECT_THAT(names(job, "moved"), ElementsAre("web1"));
    EXPECT_THAT(names(job, "failed"), IsEmpty()) << "a VM counts once, with what became of it";
}

TEST_F(Rebalance, TwoRunsNeverOverlapAndTheSecondNamesTheFirst) {
    for (const char* name : {"web1", "web2"}) make_vm(name);
    wishes = {{"web1", "h2"}};
    const PlanId first = advise();
    const PlanId second = advise();
    const auto runs = apply(first);
    ASSERT_TRUE(runs);
    const auto refused = apply(second);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::conflict);
    EXPECT_THAT(refused.error().message(), HasSubstr(runs->str()));
    EXPECT_EQ(row(second).state, PlanStage::advised) << "it still waits";
    ASSERT_TRUE(cluster.wait(*runs));
    const auto again = apply(first);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Code::failed_precondition);
}

TEST_F(Rebalance, GoesOnAfterARestartAndMovesNothingTwice) {
    for (const char* name : {"web1", "web2", "web3"}) make_vm(name);
    for (const char* to : {"h2", "h3"}) cluster.world->set_link("h1", to, BytesPerSecond(20 * 1'048'576));
    wishes = {{"web1", "h2"}, {"web2", "h3", {"web1"}}, {"web3", "h2", {"web2"}}};
    const auto job = apply(advise());
    ASSERT_TRUE(job);
    for (const std::size_t nth : {1U, 2U}) {
        ASSERT_TRUE(cluster.until([&] { return pushing() && cluster.snapshot()->migrations.size() == nth; }));
        cluster.restart();
    }
    const auto ended = cluster.wait(*job);
    ASSERT_TRUE(ended) << ended.error().chain();
    EXPECT_EQ(ended->state, JobState::succeeded) << (ended->error ? ended->error->message : "");
    EXPECT_EQ(cluster.snapshot()->migrations.size(), 3U);
    for (const char* name : {"web1", "web2", "web3"})
        EXPECT_THAT(cluster.world->running_copies(cluster.vm(name)->id), SizeIs(1));
    EXPECT_EQ(where("web3"), "h2");
}

TEST_F(Rebalance, ACancelLetsWhatMovesEndAndBeginsNothingNew) {
    for (const char* name : {"web1", "web2"}) make_vm(name);
    wishes = {{"web1", "h2"}, {"web2", "h3", {"web1"}}};
    const PlanId id = advise();
    const auto job = apply(id);
    ASSERT_TRUE(job);
    ASSERT_TRUE(cluster.until([&] { return cluster.snapshot()->migrations.size() == 1U; }));
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(const auto asked, jobs::cancel_plan(transaction, id));
        EXPECT_TRUE(asked) << "it is the job that is asked to stop";
        return {};
    }));
    const auto ended = cluster.wait(*job);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->state, JobState::cancelled);
    EXPECT_EQ(row(id).state, PlanStage::cancelled);
    EXPECT_EQ(where("web1"), "h2") << "what had begun was moved to its end";
    EXPECT_EQ(where("web2"), "h1");
}

TEST_F(Rebalance, ARunThatIsCalledOffBeforeItBeganLeavesNoPlanThatIsForeverApplied) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    const PlanId id = advise();
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(const Job job, jobs::apply_plan(transaction, id, cluster.plans->settings()));
        BALLAST_CHECK(jobs::request_cancel(transaction, job.id));
        return {};
    }));
    ASSERT_TRUE(cluster.until([&] { return row(id).state == PlanStage::cancelled; }));
    EXPECT_EQ(where("web1"), "h1");
}

TEST_F(Rebalance, VmsThatAskAreLeftOutUntilSomebodySaysYes) {
    for (const char* name : {"asks", "free"}) make_vm(name);
    wishes = {{"asks", "h2", {}, true}, {"free", "h3"}};
    const Job unasked = carry_out(advise());
    EXPECT_EQ(unasked.state, JobState::succeeded);
    EXPECT_THAT(names(unasked, "moved"), ElementsAre("free"));
    EXPECT_THAT(reason(unasked, "skipped"), HasSubstr("moves` is ask"));
    const PlanId id = advise();
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        BALLAST_CHECK(jobs::approve_plan(transaction, id));
        return {};
    }));
    EXPECT_EQ(row(id).state, PlanStage::approved);
    EXPECT_EQ(row(id).approved_by, "test");
    EXPECT_THAT(names(carry_out(id), "moved"), ElementsAre("asks"));
}

TEST_F(Rebalance, AStalePlanIsRefusedAndExpires) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    const PlanId id = advise();
    const PlanId overtaken = advise();
    ASSERT_EQ(cluster.do_job("vm.migrate", "web1", R"({"to":"h3"})")->state, JobState::succeeded);
    const auto refused = apply(overtaken);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("stale"), HasSubstr("ballast rebalance")));
    cluster.world->advance(cluster.balance.plan_age + Milliseconds(1));
    const auto late = apply(id);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), Code::failed_precondition);
    EXPECT_THAT(late.error().message(), HasSubstr("balance.plan_age"));
    cluster.restart();
    ASSERT_TRUE(cluster.until([&] { return row(id).state == PlanStage::expired; }));
    EXPECT_THAT(row(id).state_reason, HasSubstr("nobody said yes"));
}

TEST_F(Rebalance, APlanOfTheFutureIsYoungNotOld) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    const PlanId id = advise();
    Plan ahead = row(id);
    ahead.made = cluster.world->now() + std::chrono::hours(24);  // as after a clock that was set back
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        transaction.put(ahead, {"test.put", "by a test"});
        return {};
    }));
    EXPECT_EQ(carry_out(id).state, JobState::succeeded);
}

TEST_F(Rebalance, AnEmptiedHostIsHandedOverWithItsReason) {
    make_vm("web1");
    make_vm("web2", "h2");
    wishes = {{"web1", "h2"}};
    emptied = {"h1", "h2"};
    const Job job = carry_out(advise({.goal = Goal::consolidate}));
    ASSERT_EQ(job.state, JobState::succeeded) << (job.error ? job.error->message : "");
    EXPECT_EQ(Json::parse(job.result.text)["may_power_off"], Json::array({"h1"})) << "h2 is in use";
    const auto told = events("host.may_power_off");
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_EQ(told[0].subject_name, "h1");
    EXPECT_THAT(told[0].message, HasSubstr("consolidate"));
}

TEST_F(Rebalance, APlanWithoutAMoveIsNotKept) {
    make_vm("web1");
    EXPECT_TRUE(advise().empty());
    EXPECT_EQ(cluster.snapshot()->plans.size(), 0U);
}

TEST_F(Rebalance, WhatCanNotBePlannedIsNamed) {
    EXPECT_THAT(make({.budget = Milliseconds(0)}).error().message(), HasSubstr("budget_ms: 0"));
    EXPECT_THAT(make({.goal = Goal::evacuate}).error().message(), HasSubstr("evacuate needs the hosts"));
    EXPECT_THAT(make({.goal = Goal::defragment}).error().message(), HasSubstr("defragment needs the spec"));
    EXPECT_EQ(make({.hosts = {"h9"}}).error().code(), Code::not_found);
    EXPECT_THAT(make({.hosts = {"rack=r9"}}).error().message(), HasSubstr("no host has the label rack=r9"));
    EXPECT_THAT(make({.max_moves = 0}).error().message(), HasSubstr("max_moves: 0"));
    EXPECT_THAT(make({.margin = std::nan("")}).error().message(), HasSubstr("margin: nan"));
    EXPECT_EQ(planned, 0);
}

TEST_F(Rebalance, ThePlannerIsStoppedByItsBudget) {
    cluster.planner.plan = [](const Snapshot&, const auto&, const auto&, const auto&, const auto&, const auto&,
                              const scheduler::balance::Stop& stop) -> Result<ClusterPlan> {
        ClusterPlan plan;
        while (!stop()) std::this_thread::yield();
        plan.cut = true;
        return plan;
    };
    const auto made = make({.budget = Milliseconds(5)});
    ASSERT_TRUE(made) << made.error().chain();
    EXPECT_TRUE(made->cut);
}

TEST_F(Rebalance, ThePlannerIsToldWhatEachMoveCosts) {
    make_vm("web1");
    auto told = std::make_shared<scheduler::MoveCost>();
    auto stopped = std::make_shared<scheduler::MoveCost>();
    cluster.planner.plan = [=](const Snapshot& snapshot, const auto&, const auto&, const scheduler::MoveCosts& costs,
                               const auto&, const auto&, const auto&) -> Result<ClusterPlan> {
        Vm vm = *find_vm(snapshot, "web1").value();
        *told = costs(vm, HostId("id-h1"), HostId("id-h2"));
        vm.state = VmState::stopped;
        *stopped = costs(vm, HostId("id-h1"), HostId("id-h3"));
        return ClusterPlan{};
    };
    ASSERT_TRUE(make());
    EXPECT_TRUE(told->possible) << told->reason;
    EXPECT_GT(told->total, Milliseconds(0));
    EXPECT_GT(told->bytes, Bytes(0));
    EXPECT_FALSE(stopped->possible);
    EXPECT_THAT(stopped->reason, HasSubstr("does not run"));
}

}  // namespace
}  // namespace ballast::testing
