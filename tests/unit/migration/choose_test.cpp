// The choice of the mode under the policy.
#include "migration/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migration/machine.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Choice chosen(const ForecastInput& input, ModeChoice requested = ModeChoice::auto_) {
    const auto choice = choice_of(decide(input, requested));
    EXPECT_TRUE(choice) << choice.error().message();
    return choice.value_or(Choice{});
}

std::string refused(const ForecastInput& input, ModeChoice requested = ModeChoice::auto_) {
    const auto choice = choice_of(decide(input, requested));
    EXPECT_FALSE(choice);
    if (choice) return {};
    EXPECT_EQ(choice.error().code(), Code::failed_precondition);
    return choice.error().message();
}

ForecastInput hot_guest(double bandwidth_mib) {
    return an_input(bandwidth_mib, a_curve(78, 96, WriteOrder::random));
}

TEST(Choice, OfAnIdleGuestIsPlainPreCopyThoughPostCopyIsAllowed) {
    const Choice choice = chosen(an_input(100, a_curve(0.1, 1)));
    EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
    EXPECT_FALSE(choice.knobs.auto_converge);
    EXPECT_THAT(choice.reason, HasSubstr("2.6 s"));
    EXPECT_THAT(choice.warnings, IsEmpty());
}

TEST(Choice, OfAHotGuestOnASlowLinkIsAModeThatPulls) {
    const Choice choice = chosen(hot_guest(12));
    EXPECT_TRUE(choice.mode == MigrationMode::post_copy || choice.mode == MigrationMode::hybrid);
    EXPECT_THAT(choice.plan, Contains(HasSubstr("switch to post-copy")));
}

TEST(Choice, WithPostCopyAllowedIsFourTimesFasterThanQemusOwnRampAtAHotGuest) {
    ForecastInput ramp = hot_guest(12);
    ramp.knobs = {.auto_converge = true, .throttle_initial = 20, .throttle_increment = 10, .xbzrle_cache = {}};
    const auto theirs = forecast_mode(ramp, MigrationMode::pre_copy).total.likely;
    const Forecast forecast = decide(hot_guest(12), ModeChoice::auto_);
    EXPECT_LT(of_mode(forecast, forecast.choice->mode).total.likely * 4, theirs);
}

TEST(Choice, WithPostCopyForbiddenThrottlesAtOnceAndIsHalfAsLongAgainFasterThanTheRamp) {
    for (const double bandwidth : {12.0, 20.0, 48.0}) {
        ForecastInput input = hot_guest(bandwidth);
        input.terms.post_copy = false;
        ForecastInput ramp = input;
        ramp.knobs = {.auto_converge = true, .throttle_initial = 20, .throttle_increment = 10, .xbzrle_cache = {}};
        const auto theirs = forecast_mode(ramp, MigrationMode::pre_copy).total.likely;
        const Choice choice = chosen(input);
        EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
        EXPECT_TRUE(choice.knobs.auto_converge);
        EXPECT_LE(choice.knobs.throttle_initial, input.terms.max_throttle);
        EXPECT_LT(forecast_mode(input, MigrationMode::pre_copy).total.likely * 3 / 2, theirs) << bandwidth;
    }
}

TEST(Choice, SparesAGuestALongPullWhereARoundOfPreCopyCostsLittle) {
    const ForecastInput slow = an_input(50, a_curve(100, 40, WriteOrder::random));  // 5 s of pull
    const Forecast forecast = decide(slow, ModeChoice::auto_);
    ASSERT_TRUE(forecast.choice);
    EXPECT_EQ(forecast.choice->mode, MigrationMode::hybrid);
    EXPECT_LE(model::seconds_of(of_mode(forecast, MigrationMode::hybrid).total.likely),
              1.3 * model::seconds_of(of_mode(forecast, MigrationMode::post_copy).total.likely));
    EXPECT_THAT(of_mode(forecast, MigrationMode::post_copy).reason, HasSubstr("behind the stream"));

    EXPECT_EQ(chosen(an_input(50, a_curve(400, 200, WriteOrder::random))).mode, MigrationMode::post_copy);
    const Forecast quick = decide(an_input(200, a_curve(800, 100, WriteOrder::random)), ModeChoice::auto_);
    EXPECT_THAT(of_mode(quick, MigrationMode::post_copy).reason, Not(HasSubstr("behind the stream")));
}

TEST(Choice, RefusesAtOnceWhereNoAllowedThrottleReachesTheWritingAndSaysWhatWould) {
    ForecastInput input = hot_guest(20);
    input.terms.post_copy = false;
    EXPECT_EQ(chosen(input).mode, MigrationMode::pre_copy);
    input.vcpu_use = 0.2;  // 90 % leave it half of what it uses: 39 MiB/s
    const std::string text = refused(input);
    EXPECT_THAT(text, HasSubstr("even with 90 % of the guest's CPU time taken (it uses 20 % of it"));
    EXPECT_THAT(text, HasSubstr("it needs 9"));
    EXPECT_THAT(text, HasSubstr("policy.max_throttle"));
    input.terms.max_throttle = 99;
    const Choice choice = chosen(input);
    EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
    EXPECT_GT(choice.knobs.throttle_initial, 90);
    input.past.total = {.samples = 9, .factor = 0.6, .spread = 0.1};
    input.terms.max_throttle = 90;
    EXPECT_THAT(refused(input), HasSubstr("does not end"));
    input.terms.post_copy = true;
    EXPECT_NE(chosen(input).mode, MigrationMode::pre_copy);
}

TEST(Choice, NeverUsesPostCopyWithoutLeave) {
    for (const double bandwidth : {1.0, 12.0, 48.0, 200.0, 1000.0})
        for (const double rate : {0.1, 30.0, 300.0}) {
            ForecastInput input = an_input(bandwidth, a_curve(rate, 96));
            input.terms.post_copy = false;
            const Forecast forecast = decide(input, ModeChoice::auto_);
            if (!forecast.choice) continue;
            EXPECT_NE(forecast.choice->mode, MigrationMode::post_copy);
            EXPECT_NE(forecast.choice->mode, MigrationMode::hybrid);
        }
}

TEST(Choice, NeverUsesPostCopyWhereThePairCannot) {
    ForecastInput input = hot_guest(12);
    input.no_post_copy = "QEMU on h2 may not use userfaultfd";
    EXPECT_EQ(chosen(input).mode, MigrationMode::pre_copy);
    EXPECT_THAT(refused(input, ModeChoice::post_copy), HasSubstr("userfaultfd"));
}

TEST(Choice, StopsAndCopiesOnlyIfAllOfItFitsTheDowntime) {
    ForecastInput input = an_input(10, a_curve(300, 200));
    input.terms.post_copy = false;
    input.terms.max_throttle = 0;
    EXPECT_THAT(refused(input), HasSubstr("stop_and_copy: its downtime of 25"));
    input.terms.max_downtime = Milliseconds(30'000);
    EXPECT_NE(chosen(input).mode, MigrationMode::hybrid);
}

TEST(Choice, RefusesWithForecastLimitAndWayOut) {
    ForecastInput input = an_input(10, a_curve(1, 1));
    input.terms.post_copy = false;
    input.terms.max_total = Milliseconds(5000);
    const std::string text = refused(input);
    EXPECT_THAT(text, HasSubstr("it takes 25"));
    EXPECT_THAT(text, HasSubstr("max_total is 5.0 s"));
    EXPECT_THAT(text, HasSubstr("allow post-copy"));
    EXPECT_THAT(text, HasSubstr("name a mode"));
}

TEST(Choice, RespectsADeadline) {
    ForecastInput input = an_input(10, a_curve(1, 1));
    input.terms.deadline = noon + Milliseconds(10'000);
    EXPECT_THAT(refused(input), HasSubstr("the deadline is in 10.0 s"));
    input.terms.deadline = noon + Milliseconds(60'000);
    EXPECT_EQ(chosen(input).mode, MigrationMode::pre_copy);
}

TEST(Choice, KeepsAnExplicitModeWithAWarning) {
    ForecastInput input = hot_guest(12);
    input.terms.max_throttle = 0;
    const Choice choice = chosen(input, ModeChoice::pre_copy);
    EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
    EXPECT_THAT(choice.warnings, ElementsAre(HasSubstr("does not end")));
    EXPECT_THAT(chosen(input, ModeChoice::stop_and_copy).warnings, ElementsAre(HasSubstr("exceeds max_downtime")));
    EXPECT_THAT(chosen(input, ModeChoice::hybrid).warnings, IsEmpty());
}

TEST(Choice, SaysWhatAModeRisksThatPullsAlsoWhereItBreaksALimit) {
    ForecastInput input = hot_guest(12);
    EXPECT_THAT(chosen(input, ModeChoice::post_copy).reason, HasSubstr("loses its running state"));
    input.terms.max_total = Milliseconds(10);
    for (const ModeChoice mode : {ModeChoice::post_copy, ModeChoice::hybrid}) {
        const Choice choice = chosen(input, mode);
        EXPECT_THAT(choice.warnings, ElementsAre(HasSubstr("max_total is")));
        EXPECT_THAT(choice.reason, HasSubstr("loses its running state"));
    }
}

TEST(Choice, WithoutACurveStartsWithPreCopyAndHasAWayOut) {
    ForecastInput input = an_input(12, {});
    const Choice allowed = chosen(input);
    EXPECT_EQ(allowed.mode, MigrationMode::hybrid);
    EXPECT_GE(allowed.hybrid_rounds, 2);
    EXPECT_THAT(allowed.plan, Contains(HasSubstr("unless it ends by itself")));
    input.terms.post_copy = false;
    const Choice forbidden = chosen(input);
    EXPECT_EQ(forbidden.mode, MigrationMode::pre_copy);
    EXPECT_TRUE(forbidden.knobs.auto_converge);
}

TEST(Choice, IsNeverMoreThanATenthSlowerThanTheBestMode) {
    for (const double bandwidth : {5.0, 12.0, 48.0, 110.0, 500.0})
        for (const double rate : {0.5, 10.0, 60.0, 200.0})
            for (const double set : {1.0, 20.0, 120.0}) {
                const Forecast forecast = decide(an_input(bandwidth, a_curve(rate, set)), ModeChoice::auto_);
                ASSERT_TRUE(forecast.choice) << forecast.refusal;
                const ModeForecast& one = of_mode(forecast, forecast.choice->mode);
                for (const ModeForecast& other : forecast.modes) {
                    if (!other.feasible) continue;
                    const bool spares = one.mode == MigrationMode::hybrid && pulls_slowly(forecast.input);
                    const auto slack = std::max(other.total.likely / (spares ? 2 : 10), Milliseconds(200));
                    EXPECT_LE(one.total.likely, other.total.likely + slack + Milliseconds(1));
                }
            }
}

TEST(Choice, GivesQemuTheDowntimeLimitLessWhatQemuDoesNotCount) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    input.past.switch_over = {.low = Milliseconds(10), .likely = Milliseconds(20), .high = Milliseconds(40)};
    EXPECT_EQ(chosen(input).downtime_limit, Milliseconds(279));
    input.terms.max_downtime = Milliseconds(50);
    EXPECT_EQ(chosen(input).downtime_limit, Milliseconds(33));
}

TEST(Choice, StartsWithTheDowntimeLimitThatTheMachineGivesQemu) {
    ForecastInput input = an_input(100, a_curve(1, 1));
    for (const int cost : {0, 20, 90, 195, 400}) {
        input.past.switch_over.likely = Milliseconds(cost);
        input.past.switch_over.high = Milliseconds(2 * cost);
        Migration row;
        row.terms = input.terms;
        const Limits limits{.switch_cost = input.past.switch_over.likely,
                            .socket = socket_time(input.link.bandwidth.likely, {})};
        EXPECT_EQ(chosen(input).downtime_limit, downtime_limit_of(row, MigrationMemo{}, limits));
        EXPECT_GE(chosen(input).downtime_limit, last_downtime_limit(input.terms, limits.socket) * 2 / 3);
    }
}

TEST(Choice, PassesTheCapsOfThePolicyOn) {
    ForecastInput input = hot_guest(12);
    input.terms.post_copy_bandwidth = mebibytes_per_second(50);
    const Choice choice = chosen(input);
    EXPECT_EQ(choice.bandwidth, mebibytes_per_second(12));
    EXPECT_EQ(choice.post_copy_bandwidth, mebibytes_per_second(50));
}

TEST(Choice, HasNothingToSayAboutAnOfflineMove) {
    EXPECT_THAT(refused(an_input(100, a_curve(1, 1)), ModeChoice::offline), HasSubstr("offline"));
}

TEST(Throttle, TakesFirstWhatTheGuestLeavesIdle) {
    const model::Load busy{.fast = {.rate = 100, .size = 1e9}, .slow = {}};
    model::Load quiet = busy;
    quiet.vcpu_use = 0.1;
    EXPECT_DOUBLE_EQ(model::throttled(busy, 0.5).fast.rate, 50);
    EXPECT_DOUBLE_EQ(model::throttled(quiet, 0.5).fast.rate, 100);
    EXPECT_DOUBLE_EQ(model::throttled(quiet, 0.9).fast.rate, 100);
    EXPECT_NEAR(model::throttled(quiet, 0.95).fast.rate, 50, 1e-9);

    ForecastInput input = an_input(65, a_curve(130, 200));
    input.vcpu_use = 0.4;
    const auto percent = needed_throttle(input);
    ASSERT_TRUE(percent);
    EXPECT_NEAR(*percent, 100 - 100 * 0.4 * 65 / 1.15 / 130, 4);
}

TEST(Throttle, IsWhatBringsTheWritingBelowTheLink) {
    const auto percent = needed_throttle(an_input(65, a_curve(130, 200)));
    ASSERT_TRUE(percent);
    EXPECT_NEAR(*percent, 100 - 100 * 65 / 1.15 / 130, 4);
    EXPECT_EQ(needed_throttle(an_input(500, a_curve(130, 200))), 0);
}

}  // namespace
}  // namespace ballast::migration
