// The risk that demand exceeds capacity, against draws from the very model that risk.h states.
#include "memory/risk.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::memory {
namespace {

Demand a_demand(double mean_gib, double deviation_gib, const std::string& group = {}, double maximum_gib = 4) {
    const auto bytes = [](double gib) { return Bytes(std::llround(gib * static_cast<double>(gibibytes(1).count()))); };
    return {.maximum = bytes(maximum_gib),
            .minimum = mebibytes(256),
            .working_set = bytes(mean_gib),
            .deviation = bytes(deviation_gib),
            .group = group};
}
std::vector<Demand> many(int count, const Demand& demand) {
    return std::vector<Demand>(static_cast<std::size_t>(count), demand);
}
std::vector<Demand> joined(std::vector<Demand> a, const std::vector<Demand>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// Draws from the model by its latent normals: a factor for all and one for each group.
class Draws {
  public:
    Draws(const std::vector<Demand>& demands, const RiskModel& model) : demands_(demands), model_(model) {
        for (const Demand& demand : demands_) {
            const double maximum = static_cast<double>(demand.maximum.count());
            shares_.push_back(
                share_of(demand.working_set / demand.maximum, static_cast<double>(demand.deviation.count()) / maximum));
            if (!demand.group.empty()) groups_[demand.group] = 0;
        }
        own_.resize(demands_.size());
    }
    double sum() {
        for (double& e : own_) e = normal_(source_);
        common_ = normal_(source_);
        for (auto& [name, factor] : groups_) factor = normal_(source_);
        return value();
    }
    /// One more draw of one VM, as a process of jumps has it: the rest stays.
    double redraw(std::size_t which) {
        own_[which] = normal_(source_);
        return value();
    }
    std::mt19937_64& source() { return source_; }

  private:
    double value() const {
        double all = 0;
        for (std::size_t i = 0; i < demands_.size(); ++i) {
            const bool grouped = !demands_[i].group.empty();
            const double of_group = grouped ? model_.group - model_.host : 0;
            const double z = std::sqrt(model_.host) * common_ +
                             (grouped ? std::sqrt(of_group) * groups_.at(demands_[i].group) : 0) +
                             std::sqrt(1 - model_.host - of_group) * own_[i];
            all += static_cast<double>(demands_[i].maximum.count()) * normal_below(shares_[i].a + shares_[i].b * z);
        }
        return all;
    }

    const std::vector<Demand>& demands_;
    RiskModel model_;
    std::vector<Share> shares_;
    std::map<std::string, double> groups_;
    double common_ = 0;
    std::vector<double> own_;
    std::mt19937_64 source_{42};
    std::normal_distribution<double> normal_;
};

TEST(ShareModel, HasTheMeanAndTheDeviationThatItWasFittedTo) {
    std::mt19937_64 source(1);
    std::normal_distribution<double> normal;
    for (const auto& [mean, deviation] : {std::pair{0.25, 0.05}, {0.1, 0.1}, {0.5, 0.4}, {0.9, 0.05}, {0.03, 0.1}}) {
        const Share share = share_of(mean, deviation);
        double sum = 0;
        double squares = 0;
        constexpr int draws = 40'000;
        for (int i = 0; i < draws; ++i) {
            const double x = normal_below(share.a + share.b * normal(source));
            sum += x, squares += x * x;
        }
        EXPECT_NEAR(sum / draws, mean, 0.004) << mean << " " << deviation;
        EXPECT_NEAR(std::sqrt(squares / draws - sum * sum / draws / draws), deviation, 0.01 * deviation + 0.001)
            << mean << " " << deviation;
    }
}

TEST(ShareModel, TheQuantileIsTheInverseOfTheDistribution) {
    for (const double z : {-6.0, -3.09, -1.0, 0.0, 0.5, 2.326, 5.0})
        EXPECT_NEAR(normal_quantile(normal_below(z)), z, 1e-6);
}

struct Case {
    std::string name;
    std::vector<Demand> demands;
    RiskModel model;
};

const Case cases[] = {
    {"alike_and_independent", many(30, a_demand(1, 0.3)), {.group = 0, .host = 0}},
    {"as_by_default", many(30, a_demand(1, 0.3)), {}},
    {"one_group", many(30, a_demand(1, 0.3, "web")), {}},
    {"one_group_that_goes_together", many(30, a_demand(0.5, 0.6, "web")), {.group = 0.7}},
    {"idle_or_awake", many(40, a_demand(0.4, 0.7)), {}},
    {"three_groups",
     joined(joined(many(10, a_demand(1, 0.4, "web")), many(10, a_demand(0.7, 0.5, "batch"))),
            many(10, a_demand(2, 0.2, "db"))),
     {}},
    {"groups_on_a_morning_when_all_go_together",
     joined(many(8, a_demand(1, 0.45, "web")), many(30, a_demand(0.7, 0.4))),
     {.group = 0.5, .host = 0.25}},
    {"a_few_large_ones", joined(many(3, a_demand(8, 4, {}, 24)), many(20, a_demand(0.5, 0.2))), {}},
    {"nearly_full_ones", many(20, a_demand(3.6, 0.3)), {}},
};

class AgainstDraws : public testing::TestWithParam<Case> {};

TEST_P(AgainstDraws, TheRiskIsRightWithinAFactorOfTwo) {
    const Case& c = GetParam();
    const DemandSum sum(c.demands, c.model);
    Draws draws(c.demands, c.model);
    std::vector<double> drawn(60'000);
    for (double& one : drawn) one = draws.sum();
    std::ranges::sort(drawn);
    for (const double risk : {0.1, 0.01, 0.001}) {
        const auto at = static_cast<std::size_t>((1 - risk) * static_cast<double>(drawn.size()));
        const double stated = sum.exceeds(Bytes(static_cast<std::int64_t>(drawn[at])));
        EXPECT_GT(stated, risk / 2) << risk;
        EXPECT_LT(stated, risk * 2) << risk;
    }
}

INSTANTIATE_TEST_SUITE_P(All, AgainstDraws, testing::ValuesIn(cases), [](const auto& info) { return info.param.name; });

TEST(Risk, OfASingleVmErrsOnTheSafeSide) {
    const std::vector<Demand> one = many(1, a_demand(1, 0.7));
    const Share share = share_of(0.25, 0.7 / 4);
    for (const double risk : {0.1, 0.01, 0.001}) {
        const double at = 4 * normal_below(share.a + share.b * normal_quantile(1 - risk));
        const double stated = DemandSum(one, {}).exceeds(a_demand(at, 0).working_set);
        EXPECT_GT(stated, 0.8 * risk);
        EXPECT_LT(stated, 4 * risk);
    }
}

TEST(Risk, WithinAnHourIsRightWithinAFactorOfTwo) {
    // Jumps: each VM is drawn anew every 15 minutes on average, on its own.
    const std::vector<Demand> demands = many(20, a_demand(1, 0.4));
    const RiskModel model{.group = 0, .host = 0};
    const DemandSum sum(demands, model);
    for (const double once : {0.01, 0.001}) {
        const Bytes capacity = sum.at_most(once);
        Draws draws(demands, model);
        std::poisson_distribution<int> jumps(4.0 * 20);
        constexpr int hours = 6'000;
        int exceeded = 0;
        for (int hour = 0; hour < hours; ++hour) {
            bool above = draws.sum() > static_cast<double>(capacity.count());
            for (int left = jumps(draws.source()); left > 0 && !above; --left)
                above = draws.redraw(draws.source()() % demands.size()) > static_cast<double>(capacity.count());
            exceeded += above ? 1 : 0;
        }
        const double found = static_cast<double>(exceeded) / hours;
        EXPECT_GT(sum.exceeds_within_horizon(capacity), found / 2) << once;
        EXPECT_LT(sum.exceeds_within_horizon(capacity), found * 2) << once;
    }
}

TEST(Risk, IsNothingWhereAllMaximumsFitAndGrowsAsTheHostShrinks) {
    const DemandSum sum(many(10, a_demand(1, 0.5)), {});
    EXPECT_EQ(sum.exceeds_within_horizon(gibibytes(40)), 0);
    double before = 0;
    for (int gib = 39; gib >= 0; --gib) {
        const double risk = sum.exceeds_within_horizon(gibibytes(gib));
        EXPECT_GE(risk, before);
        before = risk;
    }
    EXPECT_EQ(DemandSum({}, {}).exceeds(Bytes(0)), 0);
    EXPECT_GT(sum.exceeds(Bytes(0)), 0.99);
}

TEST(Risk, OfAGroupThatGoesTogetherIsHigher) {
    const Bytes capacity = gibibytes(45);
    EXPECT_GT(DemandSum(many(30, a_demand(1, 0.5, "web")), {}).exceeds(capacity),
              5 * DemandSum(many(30, a_demand(1, 0.5)), {}).exceeds(capacity));
}

TEST(Risk, TheCapacityForARiskHasThatRisk) {
    const DemandSum sum(many(30, a_demand(1, 0.3)), {});
    EXPECT_NEAR(sum.exceeds_within_horizon(sum.capacity_for(0.001)), 0.001, 0.00002);
    EXPECT_NEAR(sum.exceeds(sum.at_most(0.01)), 0.01, 0.0002);
}

}  // namespace
}  // namespace ballast::memory
