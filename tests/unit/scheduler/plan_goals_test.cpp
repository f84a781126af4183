// Each goal of the planner: what it moves, what it leaves, and what it says of both.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/placement.h"
#include "tests/unit/scheduler/plan_cluster.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Four VMs of three cores on h1, nothing on the others.
Ask uneven(int hosts = 3) {
    auto cluster = hosts_alike(hosts);
    Ask ask;
    for (int i = 1; i <= 4; ++i) {
        const std::string name = "vm" + std::to_string(i);
        cluster.with(vm_on(name, "h1"));
        ask.load.vms[VmId(name)] = busy(3, 0.5);
    }
    ask.snapshot = cluster.build();
    return ask;
}

const PlanStay* stay_of(const ClusterPlan& plan, const std::string& vm) {
    const auto found = std::ranges::find(plan.stays, vm, &PlanStay::name);
    return found != plan.stays.end() ? &*found : nullptr;
}

std::vector<std::string> moved(const ClusterPlan& plan) {
    std::vector<std::string> names;
    for (const PlanStep& step : plan.steps) names.push_back(step.name);
    std::ranges::sort(names);
    return names;
}

TEST(PlanLevel, RelievesTheBusyHostByMovesThatGainMoreThanTheyCost) {
    const auto plan = uneven().plan();
    ASSERT_TRUE(plan) << plan.error().chain();
    ASSERT_THAT(plan->steps, SizeIs(2)) << plan->verdict;
    EXPECT_LT(plan->after.contention_s, plan->before.contention_s / 10);
    for (const PlanStep& step : plan->steps) {
        EXPECT_GE(step.gain_s, 1.2 * step.cost_s);
        EXPECT_EQ(step.from_name, "h1");
        EXPECT_THAT(step.reason, HasSubstr("of 8 cores"));
    }
    EXPECT_THAT(plan->verdict, HasSubstr("2 moves gain"));
}

TEST(PlanLevel, ASecondRunAfterTheFirstOneAnswersThatNothingIsWorthMoving) {
    Ask ask = uneven();
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    for (const PlanStep& step : plan->steps) carry_out(ask.snapshot, step);
    const auto again = ask.plan();
    ASSERT_TRUE(again);
    EXPECT_THAT(again->steps, IsEmpty());
    EXPECT_THAT(again->verdict, HasSubstr("nothing worth moving"));
}

TEST(PlanLevel, LeavesAMoveThatCostsMoreThanItGainsAndSaysBothInSeconds) {
    Ask ask = uneven();
    ask.costs = moves_take(Milliseconds(100'000'000));
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(plan->verdict, HasSubstr("nothing worth moving: the best move gains"));
    EXPECT_THAT(plan->verdict, HasSubstr("for 100000 s"));
    ASSERT_NE(stay_of(*plan, "vm1"), nullptr);
    EXPECT_THAT(stay_of(*plan, "vm1")->reason, HasSubstr("the best move, to h"));
}

TEST(PlanLevel, MovesWhereTheOtherHostSleepsAtThatHour) {
    auto cluster = hosts_alike(3).with(vm_on("day1", "h1")).with(vm_on("day2", "h1")).with(vm_on("day3", "h1"));
    cluster.with(vm_on("day4", "h2")).with(vm_on("day5", "h2")).with(vm_on("night1", "h3")).with(vm_on("night2", "h3"));
    Ask ask;
    ask.snapshot = cluster.build();
    VmLoad day = busy(2);
    day.cpu_by_hour.assign(24, 0.1);
    std::fill(day.cpu_by_hour.begin() + 8, day.cpu_by_hour.begin() + 18, 3.9);
    VmLoad night = busy(2);
    night.cpu_by_hour.assign(24, 3.9);
    std::fill(night.cpu_by_hour.begin() + 8, night.cpu_by_hour.begin() + 18, 0.1);
    for (const char* name : {"day1", "day2", "day3", "day4", "day5"}) ask.load.vms[VmId(name)] = day;
    for (const char* name : {"night1", "night2"}) ask.load.vms[VmId(name)] = night;
    ask.options.now = midnight + std::chrono::hours(9);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    ASSERT_THAT(plan->steps, SizeIs(1)) << plan->verdict;
    EXPECT_EQ(plan->steps.front().to_name, "h3");
}

TEST(PlanLevel, RelievesMemoryWhoseWorkingSetsDoNotFit) {
    auto cluster = hosts_alike(2).with(vm_on("db1", "h1", 1, 7000)).with(vm_on("db2", "h1", 1, 7000));
    Ask ask;
    ask.load.vms[VmId("db1")] = ask.load.vms[VmId("db2")] = busy(0.2);
    for (auto& [id, load] : ask.load.vms) {
        load.working_set = mebibytes(6500);
        load.working_set_deviation = mebibytes(1500);
    }
    ask.snapshot = cluster.build();
    Host small = *ask.snapshot.hosts.find(HostId("h1"));
    small.settings.memory_capacity = gibibytes(13);  // lowered after they were placed
    ask.snapshot.hosts.put(small);
    ask.options.n_plus_one = false;  // two hosts of which neither could take all
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(1)) << plan->verdict;
}

TEST(PlanLevel, ExchangesVmsThroughATemporaryPlaceWhereNoneHasRoom) {
    // Each host is full of memory; only h3 has room, and no cores.
    auto cluster = hosts_alike(3, 8, 5);
    cluster.with(vm_on("busy1", "h1", 4, 2048)).with(vm_on("busy2", "h1", 4, 2048));
    cluster.with(vm_on("idle1", "h2", 4, 2048)).with(vm_on("idle2", "h2", 4, 2048));
    Ask ask;
    ask.load.vms[VmId("busy1")] = ask.load.vms[VmId("busy2")] = busy(7.9);
    ask.load.vms[VmId("idle1")] = ask.load.vms[VmId("idle2")] = busy(0.1);
    cluster.with(vm_on("own", "h3", 4, 1024));
    ask.load.vms[VmId("own")] = busy(7.9);
    ask.snapshot = cluster.build();
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    ASSERT_THAT(plan->steps, SizeIs(3)) << plan->verdict;
    EXPECT_EQ(std::ranges::count(plan->steps, true, &PlanStep::temporary), 1);
    EXPECT_THAT(plan->steps[0].reason, HasSubstr("temporary place"));
    EXPECT_THAT(plan->steps[1].after, ElementsAre(1));
    EXPECT_LT(plan->after.contention_s, plan->before.contention_s / 2);
}

TEST(PlanLevel, RelievesOnlyTheHostsThatAreNamed) {
    Ask ask = uneven();
    ask.options.hosts = {HostId("h2")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    ASSERT_NE(stay_of(*plan, "vm1"), nullptr);
    EXPECT_THAT(stay_of(*plan, "vm1")->reason, HasSubstr("h1 is not among the hosts that were named"));
}

TEST(PlanLevel, MakesNoMoreMovesThanItMay) {
    Ask ask = uneven();
    ask.options.max_moves = 1;
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(1));
}

TEST(PlanLevel, TouchesNoHostMoreOftenThanTheBoundForAnHour) {
    Ask ask = uneven();
    ask.options.moves_per_host_hour = 2;
    ask.recent = {{VmId("gone"), HostId("h1"), HostId("h9"), midnight - std::chrono::minutes(10), true}};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(1)) << plan->verdict;
    EXPECT_THAT(plan->stays, Each(::testing::Field(&PlanStay::reason, HasSubstr("bounds on moves"))));
}

/// h1 is busy; where its VMs may go depends on whether h2 and h3 could still be lost afterwards.
Ask tight() {
    auto cluster = hosts_alike(3, 8, 16);
    cluster.with(a_host("h1").memory(gibibytes(10)));
    cluster.with(vm_on("busy1", "h1", 4, 6000)).with(vm_on("busy2", "h1", 4, 200));
    cluster.with(vm_on("other2", "h2", 1, 7800)).with(vm_on("other3", "h3", 1, 7800));  // one absorbs the other
    Ask ask;
    ask.load.vms[VmId("busy1")] = ask.load.vms[VmId("busy2")] = busy(6);
    ask.load.vms[VmId("other2")] = ask.load.vms[VmId("other3")] = busy(0.5);
    ask.snapshot = cluster.build();
    return ask;
}

TEST(PlanLevel, MakesNoMoveAfterWhichTheLossOfAHostCouldNotBeAbsorbed) {
    Ask ask = tight();
    ask.options.n_plus_one = false;
    const auto free = ask.plan();
    ask.options.n_plus_one = true;
    const auto kept = ask.plan();
    ASSERT_TRUE(free && kept);
    ASSERT_THAT(free->steps, SizeIs(1)) << free->verdict;
    ASSERT_THAT(kept->steps, SizeIs(1)) << kept->verdict;
    EXPECT_EQ(kept->steps.front().name, "busy2");
}

TEST(PlanEvacuate, EmptiesTheHostAndMovesNobodyElse) {
    auto cluster = hosts_alike(3).with(vm_on("a", "h1")).with(vm_on("b", "h1")).with(vm_on("c", "h2"));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(moved(*plan), ElementsAre("a", "b"));
    EXPECT_THAT(plan->emptied, ElementsAre("h1"));
    EXPECT_THAT(plan->stays, IsEmpty());
    EXPECT_THAT(plan->steps.front().reason, HasSubstr("h1 is emptied"));
}

TEST(PlanEvacuate, LevelsNothingOnTheWay) {
    Ask ask = uneven();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h3")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(plan->verdict, HasSubstr("no VM runs on these hosts"));
}

TEST(PlanEvacuate, EmptiesARackWithoutUsingItsOwnHosts) {
    auto cluster = hosts_alike(4).with(vm_on("a", "h1")).with(vm_on("b", "h2"));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1"), HostId("h2")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(moved(*plan), ElementsAre("a", "b"));
    for (const PlanStep& step : plan->steps) EXPECT_THAT(step.to_name, ::testing::AnyOf("h3", "h4"));
}

TEST(PlanEvacuate, MakesRoomBySendingOthersOnWhereNoHostHasEnough) {
    // big fits nowhere until one of the small VMs of h2 goes to h3.
    auto cluster = hosts_alike(3, 8, 8);
    cluster.with(vm_on("big", "h1", 2, 5000));
    cluster.with(vm_on("small1", "h2", 1, 2000)).with(vm_on("small2", "h2", 1, 2000));
    cluster.with(vm_on("other", "h3", 1, 4000));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    ASSERT_THAT(plan->steps, SizeIs(2)) << plan->verdict;
    EXPECT_EQ(plan->steps[1].name, "big");
    EXPECT_THAT(plan->steps[1].after, ElementsAre(1));
    EXPECT_THAT(plan->steps[0].reason, HasSubstr("makes room on h2"));
}

TEST(PlanEvacuate, NamesTheGroupThatIsLargerThanWhatIsLeft) {
    auto cluster = hosts_alike(3);
    for (int i = 1; i <= 3; ++i) cluster.with(vm_on("web" + std::to_string(i), "h" + std::to_string(i)).group("web"));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    ASSERT_NE(stay_of(*plan, "web1"), nullptr);
    EXPECT_THAT(stay_of(*plan, "web1")->reason, HasSubstr("group web has 3 VMs for 2 hosts"));
    EXPECT_THAT(plan->verdict, HasSubstr("nothing can be moved: 1 VMs stay"));
}

TEST(PlanConsolidate, EmptiesHostsButKeepsTheWarmSpare) {
    auto cluster = hosts_alike(4);
    for (int i = 1; i <= 4; ++i) cluster.with(vm_on("vm" + std::to_string(i), "h" + std::to_string(i), 1, 1024));
    Ask ask;
    for (int i = 1; i <= 4; ++i) ask.load.vms[VmId("vm" + std::to_string(i))] = busy(0.5, 0.1);
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::consolidate);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(3)) << plan->verdict;
    EXPECT_THAT(plan->emptied, SizeIs(2));
    EXPECT_EQ(plan->after.empty_hosts, 3);
}

TEST(PlanConsolidate, LeavesAHostOnWhoseVmsWouldNotFitAtTheComingPeak) {
    auto cluster = hosts_alike(4);
    Ask ask;
    for (int i = 1; i <= 4; ++i) {
        const std::string name = "vm" + std::to_string(i);
        cluster.with(vm_on(name, "h" + std::to_string(i), 8, 1024));
        VmLoad load = busy(0.5);
        load.cpu_by_hour.assign(24, 0.5);
        load.cpu_by_hour[4] = 7;  // asleep now, busy before the window ends
        ask.load.vms[VmId(name)] = load;
    }
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::consolidate);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(plan->emptied, IsEmpty());
}

TEST(PlanConsolidate, KeepsAsManyHostsAsTheLossOfOneNeeds) {
    // 3 x 6 GiB of VMs on hosts of 16 GiB: two hosts hold them all, but not one of the two alone.
    auto cluster = hosts_alike(3);
    Ask ask;
    for (int i = 1; i <= 3; ++i) {
        for (const char* part : {"a", "b"}) {
            const std::string name = part + std::to_string(i);
            cluster.with(vm_on(name, "h" + std::to_string(i), 1, 3072));
            ask.load.vms[VmId(name)] = busy(0.2);
        }
    }
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::consolidate);
    ask.options.warm_spares = 0;
    const auto kept = ask.plan();
    ask.options.n_plus_one = false;
    const auto given_up = ask.plan();
    ASSERT_TRUE(kept && given_up);
    EXPECT_THAT(kept->emptied, IsEmpty());
    EXPECT_THAT(given_up->emptied, SizeIs(1));
}

TEST(PlanDefragment, ClearsTheHostThatIsCheapestToClear) {
    auto cluster = hosts_alike(3);
    cluster.with(vm_on("a1", "h1", 1, 4096)).with(vm_on("a2", "h1", 1, 4096));
    cluster.with(vm_on("b1", "h2", 1, 6000));
    cluster.with(vm_on("c1", "h3", 1, 4096)).with(vm_on("c2", "h3", 1, 4096));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::defragment);
    VmSpec big = a_vm("big").vcpus(8).memory(gibibytes(15)).spec();
    ask.options.big = big;
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(moved(*plan), ElementsAre("b1")) << plan->verdict;
    EXPECT_THAT(plan->verdict, HasSubstr("make room on h2"));
    for (const PlanStep& step : plan->steps) carry_out(ask.snapshot, step);
    PlacementRequest request;
    request.spec = big;
    EXPECT_TRUE(check_claim(ask.snapshot, HostId("h2"), request));
}

TEST(PlanDefragment, SaysWhereThereIsRoomAlready) {
    Ask ask;
    ask.snapshot = hosts_alike(2).build();
    ask.options = options_for(Goal::defragment);
    ask.options.big = a_vm("big").memory(gibibytes(8)).spec();
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
}

TEST(PlanRepair, PartsTheVmsOfAGroupAndMovesAsFewAsItTakes) {
    auto cluster = hosts_alike(3);
    cluster.with(vm_on("web1", "h1").group("web")).with(vm_on("web2", "h1").group("web"));
    cluster.with(vm_on("else", "h1"));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::repair);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(1)) << plan->verdict;
    EXPECT_EQ(plan->before.broken_rules, 1);
    EXPECT_EQ(plan->after.broken_rules, 0);
    EXPECT_THAT(plan->steps.front().reason, HasSubstr("breaks anti_affinity"));
}

}  // namespace
}  // namespace ballast::scheduler
