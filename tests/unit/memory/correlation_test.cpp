// Correlations of demands, measured from the variance of their sums.
#include "memory/correlation.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using test::noon;

/// Twenty VMs in two groups and ten alone; deviation 100 MiB around 1 GiB; drawn anew every sweep.
class World {
  public:
    World(double group, double host) : group_(group), host_(host) {}

    CorrelationMemo watch(CorrelationMemo memo, int sweeps, std::size_t count = 30) {
        for (int i = 0; i < sweeps; ++i) memo = correlated(std::move(memo), sweep(count), {}, at_ += Seconds(60));
        return memo;
    }

  private:
    std::vector<CorrelationPart> sweep(std::size_t count) {
        const double all = normal_(source_);
        const double of_group[] = {normal_(source_), normal_(source_)};
        std::vector<CorrelationPart> parts;
        for (std::size_t i = 0; i < count; ++i) {
            const bool grouped = i < 20;
            const double in_group = grouped ? group_ - host_ : 0;
            const double z = std::sqrt(host_) * all + (grouped ? std::sqrt(in_group) * of_group[i / 10] : 0) +
                             std::sqrt(1 - host_ - in_group) * normal_(source_);
            parts.push_back({.id = i + 1,
                             .group = grouped ? (i < 10 ? "web" : "db") : "",
                             .needed = gibibytes(1) + Bytes(std::llround(100 * 1024 * 1024 * z)),
                             .deviation = mebibytes(100)});
        }
        return parts;
    }

    double group_;
    double host_;
    Timestamp at_ = noon;
    std::mt19937_64 source_{7};
    std::normal_distribution<double> normal_;
};

TEST(Correlation, BelievesTheUsualUntilItHasSeenMore) {
    const RiskModel usual;
    EXPECT_EQ(measured_model({}, usual), usual);
    const RiskModel after_a_minute = measured_model(World(0, 0).watch({}, 2), usual);
    EXPECT_EQ(after_a_minute.persistence, usual.persistence);
    EXPECT_NEAR(after_a_minute.group, usual.group, 0.01);
    EXPECT_NEAR(after_a_minute.host, usual.host, 0.01);
}

TEST(Correlation, FindsWhatThereIsWithinDays) {
    for (const auto& [group, host] : {std::pair{0.6, 0.2}, {0.4, 0.0}, {0.0, 0.0}, {0.3, 0.3}}) {
        const RiskModel found = measured_model(World(group, host).watch({}, 5 * 1440), {});
        EXPECT_NEAR(found.group, group, 0.06) << group << " " << host;
        EXPECT_NEAR(found.host, host, 0.03) << group << " " << host;
    }
}

TEST(Correlation, KeepsWhatItFoundWhenVmsComeAndGo) {
    World world(0.6, 0.2);
    const CorrelationMemo before = world.watch({}, 3 * 1440);
    const CorrelationMemo after = world.watch(before, 1, 29);
    EXPECT_EQ(after.group, before.group);
    EXPECT_EQ(after.host, before.host);
    EXPECT_EQ(after.watched, Milliseconds(0));
    EXPECT_GT(after.believed, before.believed);
}

TEST(Correlation, FindsHowLongDemandsStay) {
    for (const double minutes : {8.0, 15.0, 60.0}) {
        std::mt19937_64 source(11);
        std::normal_distribution<double> normal;
        std::bernoulli_distribution anew(-std::expm1(-1 / (6 * minutes)));  // of one sweep, ten seconds
        std::vector<CorrelationPart> parts;
        for (std::uint64_t i = 0; i < 20; ++i) parts.push_back({i, "", gibibytes(1), mebibytes(100)});
        CorrelationMemo memo;
        for (int sweep = 0; sweep < 6 * 1440 * 5; ++sweep) {
            for (CorrelationPart& part : parts)
                if (anew(source)) part.needed = gibibytes(1) + Bytes(std::llround(100 * 1024 * 1024 * normal(source)));
            memo = correlated(std::move(memo), parts, {}, noon + Seconds(10 * sweep));
        }
        const double found = static_cast<double>(measured_model(memo, {}).persistence.count()) / 60'000;
        EXPECT_NEAR(found / minutes, 1, 0.35) << minutes;
    }
}

TEST(Correlation, NoVmsAndNoTimeChangeNothing) {
    const CorrelationMemo memo = correlated({}, {}, {}, noon);
    EXPECT_EQ(correlated(memo, {}, {}, noon), memo);
    EXPECT_EQ(measured_model(correlated(memo, {}, {}, noon + Seconds(60)), {}), RiskModel{});
}

}  // namespace
}  // namespace ballast::memory
