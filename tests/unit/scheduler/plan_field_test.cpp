// The planner's objective: the loss integral, the incremental state against a recount, the lower bound, the times.

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/balance/random.h"
#include "scheduler/plan/bound.h"
#include "scheduler/plan/field.h"
#include "scheduler/plan/timing.h"
#include "tests/unit/scheduler/plan_cluster.h"

namespace ballast::scheduler::plan {
namespace {

using namespace ballast::test;

TEST(Contention, IsTheLossIntegralOfTheNormalDistribution) {
    EXPECT_NEAR(normal_loss(0), 0.398942, 1e-6);
    EXPECT_NEAR(normal_loss(1), 0.083315, 1e-6);  // Raiffa and Schlaifer, table II
    EXPECT_NEAR(normal_loss(2), 0.008491, 1e-6);
    EXPECT_NEAR(normal_loss(-1), 1.083315, 1e-6);
}

TEST(Contention, TakesFromTheTableWhatTheFormulaSaysAndNeverLess) {
    for (double z = -7; z <= 7; z += 0.013) {
        const double deviation = 2.5;
        const double table = loss_table().excess(10 - z * deviation, deviation, 10);
        EXPECT_NEAR(table, deviation * normal_loss(z), 3e-5 * deviation) << z;
        EXPECT_GE(table, deviation * normal_loss(z) - 1e-8) << z;
    }
}

TEST(Contention, IsWhatExceedsTheCapacityWhereNothingVaries) {
    EXPECT_DOUBLE_EQ(loss_table().excess(12, 0, 8), 4);
    EXPECT_DOUBLE_EQ(loss_table().excess(8, 0, 8), 0);
    EXPECT_DOUBLE_EQ(loss_table().excess(3, 0, 8), 0);
}

/// Twelve VMs with days of their own on four hosts.
Model model_of(Snapshot& snapshot, const PlanOptions& options) {
    auto cluster = hosts_alike(4, 8, 32);
    ClusterLoad load;
    balance::Random random(7, 0);
    for (int i = 0; i < 12; ++i) {
        const std::string name = "vm" + std::to_string(i);
        cluster.with(vm_on(name, "h" + std::to_string(1 + i % 3), 1 + i % 4, 1024 + 300 * i));
        VmLoad of_vm = busy(random.unit() * 4, random.unit());
        for (int hour = 0; hour < 24; ++hour) of_vm.cpu_by_hour.push_back(random.unit() * 4);
        of_vm.working_set = mebibytes(512 + 100 * i);
        of_vm.working_set_deviation = mebibytes(64);
        load.vms[VmId(name)] = of_vm;
    }
    snapshot = cluster.build();
    return *make_model(snapshot, load, {}, options);
}

TEST(PlanField, ForetellsWhatARecountFindsAfterEachStep) {
    Snapshot snapshot;
    PlanOptions options = options_for(Goal::level);
    options.stay = Seconds(5 * 3600);
    options.now += std::chrono::minutes(90);
    const Model model = model_of(snapshot, options);
    const MoveCosts costs = moves_take(Milliseconds(5000));
    Ledger ledger(model, costs);
    Field field(model, ledger, model.homes());
    balance::Random random(3, 1);
    int made = 0;
    for (int i = 0; i < 400; ++i) {
        const Index vm = random.below(model.vms.size());
        const Index other = random.below(model.vms.size());
        const bool exchange = i % 3 == 0;
        const auto step = exchange ? field.exchange(vm, other) : field.shift(vm, random.below(model.hosts.size()));
        if (!field.fits(step)) continue;
        ++made;
        const double foretold = field.score_after(step);
        const double paid = field.paid() + field.price_change(step);
        if (exchange)
            field.make_exchange(vm, other);
        else
            field.make_shift(vm, step.to);
        EXPECT_NEAR(field.score(), foretold, 1e-6);
        EXPECT_NEAR(field.paid(), paid, 1e-6);
        field.recount();
        EXPECT_NEAR(field.score(), foretold, 1e-6);
        EXPECT_NEAR(field.paid(), paid, 1e-6);
    }
    EXPECT_GT(made, 100);
}

TEST(PlanField, HasNoPlacementBelowTheLowerBound) {
    Snapshot snapshot;
    const Model model = model_of(snapshot, options_for(Goal::level));
    const MoveCosts costs = moves_take(Milliseconds(5000));
    Ledger ledger(model, costs);
    balance::Random random(5, 1);
    const double bound = lower_bound(model);
    for (int i = 0; i < 200; ++i) {
        Assignment at;
        for (std::size_t vm = 0; vm < model.vms.size(); ++vm) at.push_back(random.below(model.hosts.size()));
        EXPECT_GE(Field(model, ledger, at).contention(), bound - 1e-6);
    }
}

TEST(PlanField, CountsTheHoursOfTheStayByTheirShare) {
    Snapshot snapshot;
    PlanOptions options = options_for(Goal::level);
    options.now += std::chrono::minutes(45);
    const Model model = model_of(snapshot, options);
    ASSERT_EQ(model.slots.size(), 2U);
    EXPECT_EQ(model.slots[0].hour, 0);
    EXPECT_DOUBLE_EQ(model.slots[0].seconds, 900);
    EXPECT_EQ(model.slots[1].hour, 1);
    EXPECT_DOUBLE_EQ(model.slots[1].seconds, 2700);
}

TEST(PlanLedger, CostsTheLinksShareTheDowntimeAndTheBrownOut) {
    Host from = a_host("h1").build();
    const Host to = a_host("h2").build();
    MoveCost cost;
    cost.total = Milliseconds(20'000);
    cost.downtime = Milliseconds(500);
    cost.brown_out = Milliseconds(1500);
    cost.bytes = gibibytes(1);
    EXPECT_DOUBLE_EQ(cost_in_seconds(cost, from, to), 22);
    from.settings.link_speed = BytesPerSecond(gibibytes(1).count() / 5);  // 1 GiB in 20 s is a quarter of it
    EXPECT_NEAR(cost_in_seconds(cost, from, to), 7, 1e-6);
    EXPECT_DOUBLE_EQ(cost_in_seconds({}, from, to), least_cost);
}

PlanStep step_of(int number, const std::string& from, const std::string& to, std::vector<int> after = {}) {
    PlanStep step;
    step.number = number;
    step.from = HostId(from);
    step.to = HostId(to);
    step.expected = Milliseconds(1000);
    step.after = std::move(after);
    return step;
}

TEST(PlanTiming, RunsIndependentStepsSideBySide) {
    std::vector<PlanStep> steps{step_of(1, "h1", "h2"), step_of(2, "h3", "h4")};
    EXPECT_EQ(schedule(steps, 2), Milliseconds(1000));
    EXPECT_EQ(steps[1].begins, Milliseconds(0));
}

TEST(PlanTiming, SharesALinkAmongTheLanesAndQueuesWhatHasNone) {
    std::vector<PlanStep> steps{step_of(1, "h1", "h2"), step_of(2, "h1", "h3"), step_of(3, "h1", "h4")};
    EXPECT_EQ(schedule(steps, 2), Milliseconds(3000));
    EXPECT_EQ(steps[0].expected, Milliseconds(2000));
    EXPECT_EQ(steps[2].begins, Milliseconds(2000));
}

TEST(PlanTiming, BeginsAStepWhenThoseItWaitsForHaveEnded) {
    std::vector<PlanStep> steps{step_of(1, "h1", "h2"), step_of(2, "h3", "h1", {1})};
    EXPECT_EQ(schedule(steps, 2), Milliseconds(2000));
    EXPECT_EQ(steps[1].begins, Milliseconds(1000));
}

}  // namespace
}  // namespace ballast::scheduler::plan
