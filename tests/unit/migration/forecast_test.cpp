// The forecast of the four modes against what QEMU did (docs/MIGRATION.md), and its laws.
#include "migration/forecast.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using ::testing::HasSubstr;

constexpr double unlimited = 1700;  // MiB/s: what one stream got here

struct Measured {
    MigrationMode mode;
    double bandwidth_mib;
    double rate_mib;
    double set_mib;
    double seconds;
    double sent_mib;
    double downtime_ms;  ///< 0: not compared
};

void PrintTo(const Measured& one, std::ostream* out) {
    *out << "mode " << static_cast<int>(one.mode) << " at " << one.bandwidth_mib << " MiB/s";
}

class AgainstQemu : public ::testing::TestWithParam<Measured> {};

TEST_P(AgainstQemu, TimeAndBytesAreAsMeasured) {
    const Measured& measured = GetParam();
    const auto forecast =
        forecast_mode(an_input(measured.bandwidth_mib, a_curve(measured.rate_mib, measured.set_mib)), measured.mode);
    const double took = model::seconds_of(forecast.total.likely);
    EXPECT_NEAR(took, measured.seconds, std::max(0.1, measured.seconds * 0.2));
    EXPECT_NEAR(in_mebibytes(forecast.bytes.likely), measured.sent_mib, measured.sent_mib * 0.2);
    EXPECT_LE(model::seconds_of(forecast.total.low), measured.seconds + 0.1);
    EXPECT_GE(model::seconds_of(forecast.total.high), measured.seconds - 0.1);
    if (measured.downtime_ms > 0)
        EXPECT_NEAR(static_cast<double>(forecast.downtime.likely.count()), measured.downtime_ms,
                    std::max(20.0, measured.downtime_ms / 2));
}

INSTANTIATE_TEST_SUITE_P(MigrationMd, AgainstQemu,
                         ::testing::Values(Measured{MigrationMode::stop_and_copy, 100, 10, 1, 2.54, 258, 2540},
                                           Measured{MigrationMode::stop_and_copy, 100, 130, 64, 2.55, 258, 2550},
                                           Measured{MigrationMode::pre_copy, 100, 10, 1, 2.53, 259, 1},
                                           Measured{MigrationMode::pre_copy, 160, 130, 64, 1.83, 335, 18},
                                           Measured{MigrationMode::pre_copy, 220, 130, 64, 1.25, 322, 76},
                                           Measured{MigrationMode::pre_copy, 400, 130, 64, 0.66, 322, 23},
                                           Measured{MigrationMode::pre_copy, unlimited, 130, 64, 0.17, 275, 0},
                                           // Without a cap; a stream of its own speed, two cores that idle.
                                           Measured{MigrationMode::post_copy, 780, 130, 64, 0.34, 258, 2},
                                           Measured{MigrationMode::hybrid, 100, 10, 1, 2.56, 259, 1}));

/// The load is sequential at 130 MiB/s: a pre-copy ends iff the link is faster or the set fits the downtime.
class ConvergenceGrid : public ::testing::TestWithParam<std::tuple<double, double>> {};

TEST_P(ConvergenceGrid, IsCalledRightOutsideABandAndUncertainInsideIt) {
    const auto [ratio, set_mib] = GetParam();
    const double rate = 130;
    const ForecastInput input = an_input(rate * ratio, a_curve(rate, set_mib));
    const double fits = rate * ratio * model::seconds_of(downtime_limit_of(input));
    const double nearest = std::max(ratio, fits / set_mib);  // > 1: it ends
    const auto called = forecast_mode(input, MigrationMode::pre_copy).converges;
    const double hot_edge = 1.16;
    if (nearest > hot_edge)
        EXPECT_EQ(called, Convergence::yes);
    else if (nearest < 1 / hot_edge)
        EXPECT_EQ(called, Convergence::no);
    else if (nearest < 1.1 && nearest > 1 / 1.1)
        EXPECT_EQ(called, Convergence::uncertain);
}

INSTANTIATE_TEST_SUITE_P(Ratios, ConvergenceGrid,
                         ::testing::Combine(::testing::Values(0.2, 0.4, 0.6, 0.8, 0.95, 1.0, 1.05, 1.2, 1.5, 2.0, 4.0),
                                            ::testing::Values(4.0, 16.0, 32.0, 64.0, 128.0, 250.0)));

TEST(Convergence, OfAnUnmeasuredGuestOnASlowLinkIsUncertain) {
    const auto forecast = forecast_mode(an_input(10, {}), MigrationMode::pre_copy);
    EXPECT_EQ(forecast.converges, Convergence::uncertain);
    EXPECT_GT(forecast.total.high, 2 * forecast.total.low);
}

TEST(Convergence, OfRandomWritesIsHelpedByPagesThatAreStillToBeSent) {
    // A sequential writer at 130 MiB/s never lets 110 MiB/s catch up; a random one often dirties what waits anyway.
    const auto sequential = forecast_mode(an_input(110, a_curve(130, 64)), MigrationMode::pre_copy);
    const auto random = forecast_mode(an_input(110, a_curve(130, 64, WriteOrder::random)), MigrationMode::pre_copy);
    EXPECT_EQ(sequential.converges, Convergence::no);
    EXPECT_EQ(random.converges, Convergence::yes);
    const auto unknown = forecast_mode(an_input(110, a_curve(130, 64, WriteOrder::unknown)), MigrationMode::pre_copy);
    EXPECT_EQ(unknown.converges, Convergence::uncertain);
}

ForecastInput random_input(std::mt19937& random) {
    std::uniform_real_distribution<double> exponent(0, 8);
    const auto any = [&] { return std::exp(exponent(random)) / 2; };
    ForecastInput input = an_input(any(), a_curve(any(), std::min(any(), 500.0), WriteOrder::random));
    input.terms.max_downtime = Milliseconds(static_cast<int>(50 + any()));
    return input;
}

TEST(Forecast, IsOrderedAndSendsAtLeastTheMemoryOnce) {
    std::mt19937 random(3);
    for (int i = 0; i < 300; ++i) {
        const ForecastInput input = random_input(random);
        for (const ModeForecast& mode : forecast_modes(input)) {
            EXPECT_LE(mode.total.low, mode.total.likely);
            EXPECT_LE(mode.total.likely, mode.total.high);
            EXPECT_LE(mode.downtime.low, mode.downtime.likely);
            EXPECT_LE(mode.downtime.likely, mode.downtime.high);
            EXPECT_LE(mode.bytes.low, mode.bytes.likely);
            EXPECT_LE(mode.bytes.likely, mode.bytes.high);
            EXPECT_LE(mode.downtime.likely, mode.total.likely);
            EXPECT_GE(mode.bytes.likely, input.content);
            EXPECT_FALSE(mode.reason.empty());
        }
    }
}

TEST(Forecast, NeverGetsSlowerWithMoreBandwidth) {
    std::mt19937 random(5);
    for (int i = 0; i < 200; ++i) {
        ForecastInput input = random_input(random);
        for (const auto mode : {MigrationMode::stop_and_copy, MigrationMode::post_copy, MigrationMode::hybrid}) {
            const auto before = forecast_mode(input, mode);
            ForecastInput faster = input;
            faster.terms.bandwidth = *input.terms.bandwidth * 3;
            faster.terms.post_copy_bandwidth = faster.terms.bandwidth;
            EXPECT_LE(forecast_mode(faster, mode).total.likely, before.total.likely + Milliseconds(2));
        }
    }
}

TEST(Forecast, OfPreCopyGetsNoQuickerWithAHotterGuest) {
    for (const double bandwidth : {20.0, 60.0, 100.0, 300.0}) {
        Milliseconds before{0};
        for (const double rate : {1.0, 5.0, 20.0, 80.0, 320.0}) {
            ForecastInput input = an_input(bandwidth, a_curve(rate, 64, WriteOrder::random));
            input.terms.max_throttle = 0;
            const auto now = forecast_mode(input, MigrationMode::pre_copy).total.likely;
            EXPECT_GE(now + now / 20 + Milliseconds(5), before) << bandwidth << " " << rate;
            before = now;
        }
    }
}

TEST(Forecast, KeepsADowntimeOfPreCopyBelowItsLimit) {
    std::mt19937 random(7);
    for (int i = 0; i < 200; ++i) {
        const ForecastInput input = random_input(random);
        const auto forecast = forecast_mode(input, MigrationMode::pre_copy);
        if (forecast.converges == Convergence::yes)
            EXPECT_LE(forecast.downtime.likely, input.terms.max_downtime + Milliseconds(2));
    }
}

TEST(Forecast, SharesTheLinkAndAddsTheFixedCosts) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    const auto bare = forecast_mode(input, MigrationMode::stop_and_copy).total.likely;
    input.past.setup = {.low = Milliseconds(500), .likely = Milliseconds(800), .high = Milliseconds(1000)};
    input.past.finish = {.low = Milliseconds(100), .likely = Milliseconds(200), .high = Milliseconds(300)};
    EXPECT_EQ(forecast_mode(input, MigrationMode::stop_and_copy).total.likely, bare + Milliseconds(1000));
    input.terms.bandwidth.reset();
    const BytesPerSecond half = mebibytes_per_second(50);
    input.link.bandwidth = {.low = half, .likely = half, .high = half};
    EXPECT_NEAR(model::seconds_of(forecast_mode(input, MigrationMode::stop_and_copy).total.likely), 6.1, 0.1);
}

TEST(Forecast, CountsOnlyWhatIsInUse) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    const auto half = forecast_mode(input, MigrationMode::stop_and_copy);
    input.content = input.memory;
    const auto full = forecast_mode(input, MigrationMode::stop_and_copy);
    EXPECT_NEAR(full.bytes.likely / half.bytes.likely, 2, 0.05);
    input.content = Bytes(0);
    EXPECT_LT(forecast_mode(input, MigrationMode::stop_and_copy).bytes.low, mebibytes(160));
}

TEST(Forecast, ThrottlesAtOnceAsFarAsItMustAndNotBeyondTheLimit) {
    ForecastInput input = an_input(20, a_curve(78, 96, WriteOrder::random));
    const auto forecast = forecast_mode(input, MigrationMode::pre_copy);
    EXPECT_EQ(forecast.converges, Convergence::no);
    EXPECT_TRUE(forecast.knobs.auto_converge);
    EXPECT_GE(forecast.knobs.throttle_initial, 70);
    EXPECT_LE(forecast.knobs.throttle_initial, 90);
    EXPECT_TRUE(forecast.feasible);
    EXPECT_GT(forecast.brown_out.likely, Milliseconds(0));

    ForecastInput ramp = input;  // QEMU's own steps
    ramp.knobs = {.auto_converge = true, .throttle_initial = 20, .throttle_increment = 10, .xbzrle_cache = {}};
    EXPECT_GT(forecast_mode(ramp, MigrationMode::pre_copy).total.likely, forecast.total.likely * 3 / 2);

    input.terms.max_throttle = 0;
    const auto forbidden = forecast_mode(input, MigrationMode::pre_copy);
    EXPECT_FALSE(forbidden.knobs.auto_converge);
    EXPECT_FALSE(forbidden.feasible);
    EXPECT_THAT(forbidden.reason, HasSubstr("does not end"));
}

TEST(Forecast, GivesQemuThrottleStepsThatLandOnTheLimit) {
    for (const int limit : {1, 2, 3, 10, 50, 77, 89, 90, 91, 98})
        for (const double rate : {25.0, 40.0, 78.0, 200.0, 1000.0}) {
            ForecastInput input = an_input(20, a_curve(rate, 96, WriteOrder::random));
            input.terms.max_throttle = limit;
            const MigrationKnobs knobs = forecast_mode(input, MigrationMode::pre_copy).knobs;
            if (!knobs.auto_converge) continue;
            ASSERT_GE(knobs.throttle_increment, 1);
            ASSERT_GE(knobs.throttle_initial, 1);
            EXPECT_LE(knobs.throttle_initial, limit);
            EXPECT_LE(knobs.throttle_increment, 5);
            EXPECT_EQ((limit - knobs.throttle_initial) % knobs.throttle_increment, 0) << limit << " " << rate;
            if (limit > 2) EXPECT_GE(limit - knobs.throttle_initial, 2) << limit << " " << rate;
        }
}

TEST(Forecast, TakesWhatIsNeededAtOnceWhereTheLimitIsQemusOwn) {
    ForecastInput input = an_input(20, a_curve(1000, 120, WriteOrder::random));
    input.terms.max_throttle = 99;
    EXPECT_GE(forecast_mode(input, MigrationMode::pre_copy).knobs.throttle_initial, 98);
    input.terms.max_throttle = 90;
    EXPECT_EQ(forecast_mode(input, MigrationMode::pre_copy).knobs.throttle_initial, 88);
}

TEST(Forecast, NamesWhatRulesAModeOut) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    EXPECT_THAT(forecast_mode(input, MigrationMode::stop_and_copy).reason, HasSubstr("exceeds max_downtime (300 ms)"));
    input.no_post_copy = "QEMU on h2 may not use userfaultfd";
    EXPECT_THAT(forecast_mode(input, MigrationMode::post_copy).reason, HasSubstr("userfaultfd"));
    input.terms.post_copy = false;
    EXPECT_THAT(forecast_mode(input, MigrationMode::hybrid).reason, HasSubstr("policy forbids post-copy"));
    input.terms.max_total = Milliseconds(1000);
    EXPECT_THAT(forecast_mode(input, MigrationMode::pre_copy).reason, HasSubstr("max_total is 1.0 s"));
    input.terms.max_total.reset();
    input.terms.deadline = noon + Milliseconds(500);
    EXPECT_THAT(forecast_mode(input, MigrationMode::pre_copy).reason, HasSubstr("the deadline is in 500 ms"));
}

TEST(Forecast, IsCalibratedByThePairsPast) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    const auto plain = forecast_mode(input, MigrationMode::stop_and_copy);
    input.past.total = {.samples = 10, .factor = 1.2, .spread = 0.05};
    const auto known = forecast_mode(input, MigrationMode::stop_and_copy);
    EXPECT_NEAR(model::seconds_of(known.total.likely), 1.2 * model::seconds_of(plain.total.likely), 0.01);
    EXPECT_LT((known.total.high - known.total.low), (plain.total.high - plain.total.low));
}

TEST(Forecast, GoesToJsonAndBack) {
    const Forecast forecast = decide(an_input(20, a_curve(78, 96)), ModeChoice::auto_);
    const auto back = parse_as<Forecast>(to_json_text(forecast), "forecast");
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, forecast);
    EXPECT_EQ(decide(back->input, back->requested), forecast);
}

TEST(TimeLeft, OfAPullIsTheRestAtItsPace) {
    const auto left =
        time_left(an_input(100, a_curve(1, 1)), MigrationMode::hybrid, true, mebibytes(50), mebibytes_per_second(25));
    EXPECT_EQ(left.likely, Milliseconds(2000));
    EXPECT_LT(left.low, left.likely);
}

TEST(TimeLeft, OfAPushCountsWhatIsDirtiedMeanwhile) {
    const ForecastInput input = an_input(100, a_curve(60, 64));
    const auto left = time_left(input, MigrationMode::pre_copy, false, mebibytes(100), mebibytes_per_second(100));
    EXPECT_GT(left.likely, Milliseconds(1300));
    EXPECT_LE(left.low, left.likely);
    EXPECT_LE(left.likely, left.high);
}

}  // namespace
}  // namespace ballast::migration
