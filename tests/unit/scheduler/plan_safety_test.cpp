// What a plan never touches, what it refuses as input, and the guard of each step.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scheduler/plan_cluster.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Two VMs that are too much for h1, and h2 free. `change` is made to the first of them.
template <class Change>
Ask crowded(Change change) {
    auto first = vm_on("vm1", "h1", 8);
    change(first);
    Ask ask;
    ask.snapshot = hosts_alike(2).with(first).with(vm_on("vm2", "h1", 8).build()).build();
    ask.load.vms[VmId("vm1")] = busy(7);
    ask.load.vms[VmId("vm2")] = busy(6);
    return ask;
}

Ask crowded() {
    return crowded([](VmBuilder&) {});
}

void put(Snapshot& snapshot, const char* vm, const std::function<void(Vm&)>& change) {
    Vm row = *snapshot.vms.find(VmId(vm));
    change(row);
    snapshot.vms.put(std::move(row));
}

std::string reason_of(const ClusterPlan& plan, const std::string& vm) {
    for (const PlanStay& stay : plan.stays)
        if (stay.name == vm) return stay.reason;
    return "";
}

bool moves(const ClusterPlan& plan, const std::string& vm) {
    return std::ranges::find(plan.steps, vm, &PlanStep::name) != plan.steps.end();
}

TEST(PlanPolicy, NeverMovesAVmWhosePolicyIsNever) {
    Ask ask = crowded();
    put(ask.snapshot, "vm1", [](Vm& vm) { vm.spec.moves = MovePolicy::never; });
    put(ask.snapshot, "vm2", [](Vm& vm) { vm.spec.moves = MovePolicy::never; });
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(reason_of(*plan, "vm1"), HasSubstr("moves: never"));
    EXPECT_THAT(plan->verdict, HasSubstr("nothing worth moving may move"));
}

TEST(PlanPolicy, MarksAStepThatWaitsForAYes) {
    Ask ask = crowded();
    for (const char* vm : {"vm1", "vm2"}) put(ask.snapshot, vm, [](Vm& row) { row.spec.moves = MovePolicy::ask; });
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    ASSERT_THAT(plan->steps, SizeIs(1));
    EXPECT_TRUE(plan->steps.front().asks);
}

TEST(PlanPolicy, LeavesObservedVmsAndThoseOfObservedHostsAlone) {
    Ask ask = crowded();
    put(ask.snapshot, "vm1", [](Vm& vm) { vm.managed = false; });
    const auto one = ask.plan();
    ASSERT_TRUE(one);
    EXPECT_FALSE(moves(*one, "vm1"));
    ask = crowded();
    Host host = *ask.snapshot.hosts.find(HostId("h1"));
    host.managed = false;
    ask.snapshot.hosts.put(host);
    const auto none = ask.plan();
    ASSERT_TRUE(none);
    EXPECT_THAT(none->steps, IsEmpty());
    EXPECT_THAT(reason_of(*none, "vm1"), HasSubstr("h1 is only observed"));
}

TEST(PlanPolicy, TakesNoObservedHostAsATarget) {
    Ask ask = crowded();
    Host host = *ask.snapshot.hosts.find(HostId("h2"));
    host.managed = false;
    ask.snapshot.hosts.put(host);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(reason_of(*plan, "vm1"), HasSubstr("host_ready"));
}

TEST(PlanPolicy, LeavesAVmAloneThatSomebodyElseMoves) {
    Ask ask = crowded();
    for (const char* vm : {"vm1", "vm2"})
        ask.recent.push_back({VmId(vm), HostId("h2"), HostId("h1"), midnight - std::chrono::minutes(12), false});
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(reason_of(*plan, "vm1"), HasSubstr("somebody else moved it 12 min"));
    EXPECT_THAT(reason_of(*plan, "vm1"), HasSubstr("Ballast stands back"));
}

TEST(PlanPolicy, SendsNoVmBackWithinTheWindow) {
    Ask ask = crowded();
    for (const char* vm : {"vm1", "vm2"})
        ask.recent.push_back({VmId(vm), HostId("h2"), HostId("h1"), midnight - std::chrono::hours(5)});
    const auto within = ask.plan();
    ask.options.now += std::chrono::hours(2);
    const auto after = ask.plan();
    ASSERT_TRUE(within && after);
    EXPECT_THAT(within->steps, IsEmpty());
    EXPECT_THAT(reason_of(*within, "vm1"), HasSubstr("it left h2 within the last"));
    EXPECT_THAT(after->steps, SizeIs(1));
}

TEST(PlanPolicy, MovesNoVmMoreOftenThanTheBoundForAnHour) {
    auto cluster = hosts_alike(3).with(vm_on("vm1", "h1", 8)).with(vm_on("vm2", "h1", 8));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.load.vms[VmId("vm1")] = ask.load.vms[VmId("vm2")] = busy(7);
    for (const char* vm : {"vm1", "vm2"})
        ask.recent.push_back({VmId(vm), HostId("h3"), HostId("h1"), midnight - std::chrono::minutes(59)});
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(reason_of(*plan, "vm1"), HasSubstr("moved 1 times within the hour"));
}

TEST(PlanPolicy, TakesAMoveOfTheFutureAsOneOfThisMomentWhenTheClockJumpedBack) {
    Ask ask = crowded();
    for (const char* vm : {"vm1", "vm2"})
        ask.recent.push_back({VmId(vm), HostId("h2"), HostId("h1"), midnight + std::chrono::hours(30)});
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, IsEmpty());
}

TEST(PlanPolicy, LetsAnOrderBendTheWindowWhereThereIsNoOtherPlace) {
    Ask ask = crowded();
    ask.recent = {{VmId("vm1"), HostId("h2"), HostId("h1"), midnight - std::chrono::minutes(5)}};
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1")};
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(2)) << plan->verdict;
}

void expect_refused(const Ask& ask, const char* words) {
    const auto plan = ask.plan();
    ASSERT_FALSE(plan) << words;
    EXPECT_EQ(plan.error().code(), Code::invalid_argument);
    EXPECT_THAT(plan.error().message(), HasSubstr(words));
}

TEST(PlanInput, RefusesAMarginThatIsNoNumberOrBelowOne) {
    Ask ask = crowded();
    for (const double margin : {std::nan(""), -1.0, 0.0, 0.99, std::numeric_limits<double>::infinity()}) {
        ask.options.margin = margin;
        expect_refused(ask, "margin is");
    }
}

TEST(PlanInput, RefusesAnUnknownHostByItsName) {
    Ask ask = crowded();
    ask.options.goal = Goal::evacuate;
    ask.options.hosts = {HostId("h77")};
    expect_refused(ask, "no host has the id h77");
}

TEST(PlanInput, RefusesBoundsThatMakeNoSense) {
    const std::vector<std::pair<std::function<void(PlanOptions&)>, const char*>> cases = {
        {[](PlanOptions& options) { options.stay = Seconds(0); }, "stay is 0"},
        {[](PlanOptions& options) { options.no_return = Seconds(-1); }, "no_return is -1"},
        {[](PlanOptions& options) { options.moves_per_vm_hour = -1; }, "moves_per_vm_hour is -1"},
        {[](PlanOptions& options) { options.moves_per_host_hour = -2; }, "moves_per_host_hour is -2"},
        {[](PlanOptions& options) { options.lanes_per_host = 0; }, "lanes_per_host is 0"},
        {[](PlanOptions& options) { options.warm_spares = -1; }, "warm_spares is -1"},
        {[](PlanOptions& options) { options.max_moves = -1; }, "max_moves is -1"},
        {[](PlanOptions& options) { options.goal = Goal::evacuate; }, "evacuate needs hosts"},
        {[](PlanOptions& options) { options.goal = Goal::defragment; }, "defragment needs big"},
    };
    for (const auto& [change, words] : cases) {
        Ask ask = crowded();
        change(ask.options);
        expect_refused(ask, words);
    }
}

TEST(PlanInput, RefusesALoadThatIsNoNumberAndNamesTheVm) {
    Ask ask = crowded();
    ask.load.vms[VmId("vm1")].cpu_mean = std::nan("");
    expect_refused(ask, "the load of VM vm1 has cpu_mean nan");
    ask = crowded();
    ask.load.vms[VmId("vm2")].cpu_by_hour = {1, 2, 3};
    expect_refused(ask, "vm2 has 3 values of cpu_by_hour");
}

TEST(PlanInput, AnswersAnEmptyClusterWithAVerdict) {
    Ask ask;
    const auto none = ask.plan();
    ask.snapshot = hosts_alike(2).build();
    const auto hosts = ask.plan();
    ASSERT_TRUE(none && hosts);
    EXPECT_THAT(none->verdict, HasSubstr("the cluster has no hosts"));
    EXPECT_THAT(hosts->verdict, HasSubstr("no VM runs"));
}

TEST(PlanInput, AnswersATimeBudgetOfNothingWithWhatItHas) {
    const auto plan = crowded().plan([] { return true; });
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->cut);
    EXPECT_THAT(plan->steps, IsEmpty());
    EXPECT_THAT(plan->verdict, HasSubstr("the time budget ended the search"));
}

TEST(PlanInput, IgnoresALoadOfAVmThatIsGone) {
    Ask ask = crowded();
    ask.load.vms[VmId("ghost")] = busy(100);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(1));
}

TEST(PlanDeterminism, GivesTheSamePlanForTheSameInput) {
    const auto one = crowded().plan();
    const auto other = crowded().plan();
    ASSERT_TRUE(one && other);
    EXPECT_EQ(*one, *other);
}

/// A plan of one step, and the snapshot it was made on.
class CheckStep : public ::testing::Test {
  protected:
    CheckStep() : ask_(crowded()), plan_(*ask_.plan()) {}

    void expect_stale(const char* words) {
        const auto checked = check_step(ask_.snapshot, plan_, plan_.steps.front());
        ASSERT_FALSE(checked) << words;
        EXPECT_THAT(checked.error().chain(), HasSubstr(words));
    }

    Ask ask_;
    ClusterPlan plan_;
};

TEST_F(CheckStep, AcceptsAStepWhileNothingChanged) {
    EXPECT_TRUE(check_step(ask_.snapshot, plan_, plan_.steps.front()));
}

TEST_F(CheckStep, RefusesAVmThatIsGoneElsewhereStoppedOrChanged) {
    const std::string vm = plan_.steps.front().name;
    const Snapshot before = ask_.snapshot;
    put(ask_.snapshot, vm.c_str(), [](Vm& row) { row.revision += 1; });
    expect_stale("was changed since");
    ask_.snapshot = before;
    put(ask_.snapshot, vm.c_str(), [](Vm& row) { row.state = VmState::stopped; });
    expect_stale("does not run");
    ask_.snapshot = before;
    put(ask_.snapshot, vm.c_str(), [](Vm& row) { row.host = HostId("h2"); });
    expect_stale("the VM is on h2");
    ask_.snapshot = before;
    ask_.snapshot.vms.erase(VmId(vm));
    expect_stale("the VM is gone");
}

TEST_F(CheckStep, RefusesATargetThatNoLongerTakesTheVm) {
    ask_.snapshot.vms.put(vm_on("new", "h2", 1, 15 * 1024).build());
    expect_stale("memory_fit");
}

TEST_F(CheckStep, RefusesAStepWhoseForerunnerHasNotBeenMade) {
    PlanStep second = plan_.steps.front();
    second.number = 2;
    second.after = {1};
    plan_.steps.push_back(second);
    const auto early = check_step(ask_.snapshot, plan_, second);
    ASSERT_FALSE(early);
    EXPECT_THAT(early.error().message(), HasSubstr("which has not been made"));
}

}  // namespace
}  // namespace ballast::scheduler
