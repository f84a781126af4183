// Plans where memory is promised more than once: every step is asked of whoever measures, and so is its guard.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scheduler/plan_cluster.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// h1 is to be emptied of 4 x 4 GiB, each with 512 MiB guaranteed, onto h2 with 8 GiB.
Ask evacuation(MemoryPolicy policy) {
    auto cluster = hosts_alike(2);
    cluster.with(a_host("h2").memory(gibibytes(8)).memory_policy(policy));
    for (int i = 1; i <= 4; ++i) cluster.with(vm_on("vm" + std::to_string(i), "h1", 1, 4096).minimum(mebibytes(512)));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::evacuate);
    ask.options.hosts = {HostId("h1")};
    return ask;
}

TEST(PlanOvercommit, BringsMoreThanTheMaximumsToAHostThatAdmitsThem) {
    Ask ask = evacuation(MemoryPolicy::balanced);
    ask.options.memory = std::make_shared<ShareOfMaximum>(0.25);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(4));
    EXPECT_THAT(plan->stays, IsEmpty());
    ask = evacuation(MemoryPolicy::none);
    ask.options.memory = std::make_shared<ShareOfMaximum>(0.25);
    EXPECT_THAT(ask.plan()->steps, SizeIs(1)) << "two maximums and QEMU's need are more than 8 GiB";
}

TEST(PlanOvercommit, LeavesWhereItIsWhatTheTargetDoesNotAdmit) {
    Ask ask = evacuation(MemoryPolicy::balanced);
    ask.options.memory = std::make_shared<ShareOfMaximum>(0.6);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->steps, SizeIs(3)) << "3 x 2.4 GiB and QEMU's need";
    EXPECT_THAT(plan->stays, SizeIs(1));
}

TEST(PlanOvercommit, TheGuardOfAStepAsksAgain) {
    Ask ask = evacuation(MemoryPolicy::balanced);
    ask.options.memory = std::make_shared<ShareOfMaximum>(0.25);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    Preferences known;
    known.memory = ask.options.memory;
    EXPECT_TRUE(check_step(ask.snapshot, *plan, plan->steps.front(), known));
    known.memory = std::make_shared<ShareOfMaximum>(2.5);
    const auto refused = check_step(ask.snapshot, *plan, plan->steps.front(), known);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::resource_exhausted);
    EXPECT_THAT(refused.error().chain(), HasSubstr("working_set_fit"));
}

TEST(PlanOvercommit, CountsLostSharingOfATargetThatPromisesMinimums) {
    for (const MemoryPolicy policy : {MemoryPolicy::none, MemoryPolicy::balanced}) {
        Ask ask = evacuation(policy);
        const auto without = std::make_shared<ShareOfMaximum>(0.25);
        ask.options.memory = without;
        const auto plan = ask.plan();
        const auto sharing = std::make_shared<ShareOfMaximum>(0.25);
        sharing->shared = mebibytes(200);
        ask.options.memory = sharing;
        const auto lossy = ask.plan();
        ASSERT_TRUE(plan && lossy);
        const Bytes lost = plan->steps.front().proof.target_free_after - lossy->steps.front().proof.target_free_after;
        EXPECT_EQ(lost, policy == MemoryPolicy::none ? Bytes(0) : mebibytes(200));
    }
}

/// A move into an overcommitted host was judged with everybody gone who leaves before it.
TEST(PlanOvercommit, AnArrivalWaitsForAllDeparturesBeforeIt) {
    auto cluster = hosts_alike(3);
    for (const char* host : {"h2", "h3"})
        cluster.with(a_host(host).memory(gibibytes(10)).memory_policy(MemoryPolicy::balanced).label("role", host));
    // `wants-h3` breaks a rule on h2, and the VM that breaks one on h1 fits on h2 only when it has left.
    cluster.with(vm_on("wants-h3", "h2", 1, 8192).minimum(mebibytes(512)).wants_host_label("role", "h3"));
    cluster.with(vm_on("wants-h2", "h1", 1, 8192).minimum(mebibytes(512)).wants_host_label("role", "h2"));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.options = options_for(Goal::repair);
    ask.options.memory = std::make_shared<ShareOfMaximum>(1.0);
    const auto plan = ask.plan();
    ASSERT_TRUE(plan);
    ASSERT_THAT(plan->steps, SizeIs(2)) << plan->verdict;
    EXPECT_EQ(plan->steps[0].name, "wants-h3");
    EXPECT_THAT(plan->steps[1].after, testing::ElementsAre(plan->steps[0].number))
        << "the minimums alone would fit at once";
}

}  // namespace
}  // namespace ballast::scheduler
