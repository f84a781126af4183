// The daemon's own balancing: one recommendation that waits, or moves that are made; and when it stands back.
#include "daemon/jobs/rebalance/balancer.h"

#include <gmock/gmock.h>

#include "tests/unit/jobs/plan_fixture.h"

namespace ballast::testing {
namespace {

using jobs::BalanceMode;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Balancing : public PlanFixture {
  public:
    /// One look as the daemon would have it.
    void look(BalanceMode mode) {
        jobs::Services services{.executor = cluster.io->get_executor(),
                                .store = cluster.store,
                                .hosts = cluster.registry,
                                .observer = cluster.reconciler,
                                .clock = cluster.world,
                                .ids = nullptr,
                                .progress = cluster.progress,
                                .settings = {},
                                .migrations = cluster.desk,
                                .plans = cluster.plans};
        services.settings.balance = cluster.balance;
        services.settings.balance.mode = mode;
        if (!balancer) balancer = std::make_shared<jobs::Balancer>(services);
        const auto looked = run(*cluster.io, balancer->look());
        EXPECT_TRUE(looked) << looked.error().chain();
    }

    [[nodiscard]] std::vector<Plan> plans_in(PlanStage stage) const {
        std::vector<Plan> found;
        cluster.snapshot()->plans.for_each([&](const Plan& plan) {
            if (plan.state == stage) found.push_back(plan);
        });
        return found;
    }

    /// The VM is elsewhere, and not by Ballast.
    void move_outside(const std::string& name, const std::string& host) {
        const auto written =
            run(*cluster.io, cluster.store->write({.actor = "outside", .origin = Origin::outside, .job = {}},
                                                  [&](store::Transaction& transaction) -> Result<void> {
                                                      Vm vm = *cluster.vm(name);
                                                      vm.host = HostId("id-" + host);
                                                      transaction.put(std::move(vm), {"vm.moved", "by a test"});
                                                      return {};
                                                  }));
        ASSERT_TRUE(written);
        ASSERT_TRUE(cluster.until([&] { return !cluster.plans->outside_moves().empty(); }));
    }

    std::shared_ptr<jobs::Balancer> balancer;
};

TEST_F(Balancing, AdvisedKeepsOneRecommendationThatWaitsForAYes) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    look(BalanceMode::advised);
    ASSERT_THAT(plans_in(PlanStage::advised), SizeIs(1));
    const PlanId first = plans_in(PlanStage::advised)[0].id;
    EXPECT_EQ(plans_in(PlanStage::advised)[0].actor, "ballast");
    look(BalanceMode::advised);
    ASSERT_THAT(plans_in(PlanStage::advised), SizeIs(1));
    EXPECT_EQ(plans_in(PlanStage::advised)[0].id, first) << "the same moves are not advised twice";
    wishes = wishes_then = {{"web1", "h3"}};
    look(BalanceMode::advised);
    ASSERT_THAT(plans_in(PlanStage::advised), SizeIs(1));
    EXPECT_NE(plans_in(PlanStage::advised)[0].id, first);
    ASSERT_THAT(plans_in(PlanStage::expired), SizeIs(1));
    EXPECT_THAT(plans_in(PlanStage::expired)[0].state_reason, HasSubstr("newer plan"));
    EXPECT_EQ(where("web1"), "h1") << "nobody said yes";
}

TEST_F(Balancing, AutomaticMovesWhatDoesNotAsk) {
    make_vm("web1");
    make_vm("asks");
    wishes = {{"web1", "h2"}, {"asks", "h3", {}, true}};
    look(BalanceMode::automatic);
    ASSERT_TRUE(cluster.until([&] { return plans_in(PlanStage::applied).size() == 1U; }));
    ASSERT_TRUE(cluster.until([&] { return jobs::find_open_rebalance(*cluster.snapshot()) == nullptr; }));
    EXPECT_EQ(where("web1"), "h2");
    EXPECT_EQ(where("asks"), "h1");
    look(BalanceMode::automatic);
    EXPECT_THAT(plans_in(PlanStage::advised), SizeIs(1)) << "what asks waits for its yes";
    EXPECT_EQ(jobs::find_open_rebalance(*cluster.snapshot()), nullptr);
}

TEST_F(Balancing, DoesNothingWhileAPlanIsCarriedOut) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    const auto job = apply(advise());
    ASSERT_TRUE(job);
    const int before = planned;
    look(BalanceMode::automatic);
    EXPECT_EQ(planned, before);
    ASSERT_TRUE(cluster.wait(*job));
}

TEST_F(Balancing, StandsBackWhileSomebodyElseMovesTheVmsAndSaysSoOnce) {
    make_vm("web1");
    wishes = {{"web1", "h2"}};
    cluster.balance.outside_moves = 1;
    move_outside("web1", "h3");
    look(BalanceMode::automatic);
    look(BalanceMode::automatic);
    EXPECT_EQ(planned, 0);
    const auto told = events("cluster.balance_stands_back");
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_THAT(told[0].message, HasSubstr("somebody else"));
    cluster.world->advance(cluster.balance.no_return + Milliseconds(1));
    look(BalanceMode::automatic);
    EXPECT_THAT(events("cluster.balance_goes_on"), SizeIs(1));
    EXPECT_EQ(planned, 1);
}

}  // namespace
}  // namespace ballast::testing
