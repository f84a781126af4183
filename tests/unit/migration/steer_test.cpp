// What the engine does to a push that goes well, stalls, or can't be done in its time.
#include "migration/steer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::migration {
namespace {

using testing::HasSubstr;

const Timestamp noon = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);
const BytesPerSecond link(100 * 1'048'576);

/// A push of 1 GiB at 100 MiB/s; `left` is what each of its rounds left behind, in MiB.
struct Push {
    Migration row;
    PushSample sample;
    bool can_switch = false;
    SteerLimits limits;

    explicit Push(const std::vector<int>& left) {
        row.phase = MigrationPhase::push;
        row.terms.max_downtime = Milliseconds{300};
        Milliseconds at{0};
        int before = 1024;
        for (const int mebibytes_left : left) {
            at += Milliseconds(before * 10);
            before = mebibytes_left;
            MigrationRound round;
            round.round = static_cast<int>(row.rounds.size()) + 1;
            round.at = at;
            round.remaining = mebibytes(mebibytes_left);
            row.rounds.push_back(round);
        }
        sample.elapsed = at;
        sample.remaining = mebibytes(before);
        sample.total = gibibytes(1);
        sample.throughput = link;
        sample.round = static_cast<int>(left.size()) + 1;
        sample.round_ended = true;
    }
    Push& allow_post_copy() {
        row.terms.post_copy = can_switch = true;
        return *this;
    }
    Push& in_mid_round() {
        sample.round_ended = false;
        return *this;
    }
    Push& throttled(int percent) {
        row.knobs.auto_converge = true;
        sample.throttle = percent;
        return *this;
    }
    Push& within(Milliseconds total) {
        row.terms.max_total = total;
        return *this;
    }
    [[nodiscard]] Steering steer() const { return migration::steer(row, sample, can_switch, noon, limits); }
    [[nodiscard]] SteeringAct act() const { return steer().act; }
};

TEST(Steer, LeavesAPushAloneWhoseRoundsShrink) {
    EXPECT_EQ(Push({400, 160, 64}).allow_post_copy().act(), SteeringAct::none);
    EXPECT_EQ(Push({400, 350, 310}).allow_post_copy().act(), SteeringAct::none);
    EXPECT_EQ(Push({}).allow_post_copy().act(), SteeringAct::none);
}

TEST(Steer, SwitchesAStalledPushAtTheEndOfARound) {
    EXPECT_EQ(Push({96}).allow_post_copy().act(), SteeringAct::none);
    const Steering steering = Push({96, 95}).allow_post_copy().steer();
    EXPECT_EQ(steering.act, SteeringAct::switch_to_post_copy);
    EXPECT_THAT(steering.reason, HasSubstr("95 MiB are left to pull"));
    EXPECT_EQ(Push({96, 95}).allow_post_copy().in_mid_round().act(), SteeringAct::none);
}

TEST(Steer, WaitsForASmallRemainderUnderALoadThatComesAndGoes) {
    EXPECT_EQ(Push({100, 400}).allow_post_copy().act(), SteeringAct::none);
    EXPECT_EQ(Push({100, 400, 105}).allow_post_copy().act(), SteeringAct::switch_to_post_copy);
    EXPECT_EQ(Push({100, 400, 400}).allow_post_copy().act(), SteeringAct::none);
    EXPECT_EQ(Push({100, 400, 400, 400, 400}).allow_post_copy().act(), SteeringAct::switch_to_post_copy);
}

TEST(Steer, NeverSwitchesWithoutLeaveOrPreparation) {
    Push forbidden({96, 95, 96});
    forbidden.can_switch = true;
    EXPECT_EQ(forbidden.act(), SteeringAct::none);
    Push unprepared({96, 95, 96});
    unprepared.row.terms.post_copy = true;
    EXPECT_EQ(unprepared.act(), SteeringAct::none);
}

TEST(Steer, RaisesTheDowntimeInOneStepToWhatARoundLeftAndNeverBeyondThePolicy) {
    Push push({23, 22});  // 220 ms of the link
    push.limits.switch_cost = Milliseconds{150};
    EXPECT_EQ(push.steer().downtime, Milliseconds{275});
    EXPECT_THAT(push.steer().reason, HasSubstr("from 200 ms to 275 ms"));
    push.sample.downtime_limit = Milliseconds{275};
    EXPECT_EQ(push.steer().downtime, Milliseconds{285});  // a little more, where that alone was not it
    push.sample.downtime_limit = Milliseconds{300};
    EXPECT_EQ(push.act(), SteeringAct::none);
}

TEST(Steer, RaisesNoDowntimeWhereAllThatThePolicyAllowsIsNotEnough) {
    Push push({140, 140, 141, 139});  // 1.4 s of the link
    push.limits.switch_cost = Milliseconds{150};
    EXPECT_EQ(push.act(), SteeringAct::none);
    Push nearly({40, 31, 31});
    nearly.limits.switch_cost = Milliseconds{150};
    EXPECT_EQ(nearly.act(), SteeringAct::none);
    Push now_and_then({31, 29, 60});  // too little less than 31 to be progress, and enough all the same
    now_and_then.limits.switch_cost = Milliseconds{150};
    EXPECT_EQ(now_and_then.act(), SteeringAct::raise_downtime);
}

TEST(Steer, RaisesTheDowntimeBeforeItSwitchesWhereThatIsEnough) {
    Push push({28, 27});  // 280 ms of the link
    push.allow_post_copy().limits.switch_cost = Milliseconds{100};
    EXPECT_EQ(push.act(), SteeringAct::raise_downtime);
    EXPECT_EQ(push.steer().downtime, Milliseconds{300});
    Push larger({96, 95});
    larger.allow_post_copy().limits.switch_cost = Milliseconds{100};
    EXPECT_EQ(larger.act(), SteeringAct::switch_to_post_copy);
}

TEST(Steer, GivesUpAfterItsPatienceAndSaysWhy) {
    std::vector<int> left(30, 96);
    EXPECT_EQ(Push(left).act(), SteeringAct::none);
    left.push_back(96);
    const Steering steering = Push(left).steer();
    EXPECT_EQ(steering.act, SteeringAct::abort);
    EXPECT_THAT(steering.reason, HasSubstr("300 ms of downtime are not enough, and the policy allows no post-copy"));
}

TEST(Steer, LeavesAutoConvergeItsStepsButNotBeyondThePolicy) {
    Push push({96, 96, 96});
    push.row.terms.max_throttle = 50;
    EXPECT_EQ(push.throttled(40).act(), SteeringAct::none);
    EXPECT_EQ(push.throttled(50).act(), SteeringAct::none);
    const Steering steering = push.throttled(60).steer();
    EXPECT_EQ(steering.act, SteeringAct::abort);
    EXPECT_THAT(steering.reason, HasSubstr("60 % of the guest's CPU time, the policy allows 50 %"));
    EXPECT_EQ(push.allow_post_copy().in_mid_round().act(), SteeringAct::switch_to_post_copy);
}

TEST(Steer, TakesALastFineStepAboveTheThrottlesLimitForRounding) {
    Push push({96, 96, 96});
    push.row.terms.max_throttle = 90;
    push.row.knobs.throttle_increment = 1;
    EXPECT_EQ(push.throttled(91).act(), SteeringAct::none);
    EXPECT_EQ(push.throttled(92).act(), SteeringAct::abort);
    push.row.knobs.throttle_increment = 10;
    EXPECT_EQ(push.throttled(92).act(), SteeringAct::none);
    EXPECT_EQ(push.throttled(93).act(), SteeringAct::abort);
    push.row.terms.max_throttle = 0;
    EXPECT_EQ(push.throttled(1).act(), SteeringAct::abort);
}

TEST(Steer, SwitchesWhatConvergesTooLate) {
    Push push({400, 350});  // 12 s gone; 8 rounds more
    push.allow_post_copy().within(Milliseconds{30'000});
    EXPECT_EQ(push.act(), SteeringAct::switch_to_post_copy);
    EXPECT_EQ(push.in_mid_round().act(), SteeringAct::none);  // the round's end is in time
    push.within(push.sample.elapsed + Milliseconds{4'000});
    EXPECT_EQ(push.act(), SteeringAct::switch_to_post_copy);  // it is not
    push.within(Milliseconds{600'000});
    EXPECT_EQ(push.act(), SteeringAct::none);
}

TEST(Steer, GivesXbzrleAFewRoundsToShowWhatItIsWorth) {
    Push push({300, 200, 200, 200, 200, 200});
    push.row.knobs.xbzrle = true;
    push.sample.downtime_limit = push.row.terms.max_downtime;
    EXPECT_EQ(push.act(), SteeringAct::none);
    Push longer({300, 200, 200, 200, 200, 200, 200, 200});
    longer.row.knobs.xbzrle = true;
    longer.sample.downtime_limit = longer.row.terms.max_downtime;
    EXPECT_EQ(longer.act(), SteeringAct::abort);
}

TEST(Steer, SwitchesNoXbzrleBeforeItsCacheWasOfUse) {
    Push filling({300, 300});
    filling.row.knobs.xbzrle = true;
    EXPECT_EQ(filling.allow_post_copy().act(), SteeringAct::none);
    Push stalled({300, 300, 300});
    stalled.row.knobs.xbzrle = true;
    EXPECT_EQ(stalled.allow_post_copy().act(), SteeringAct::switch_to_post_copy);
}

TEST(Steer, AbortsWhatCanNotEndInItsTime) {
    Push push({400, 350});
    push.allow_post_copy().within(push.sample.elapsed + Milliseconds{1'000});
    EXPECT_EQ(push.act(), SteeringAct::abort);
    EXPECT_THAT(push.steer().reason, HasSubstr("350 MiB are left, which takes 3.5 s"));
    push.within(push.sample.elapsed);
    EXPECT_THAT(push.steer().reason, HasSubstr("is over"));
    Push late({400, 350});
    late.row.terms.deadline = noon - Milliseconds{1};
    EXPECT_EQ(late.act(), SteeringAct::abort);
}

TEST(Steer, TouchesNothingOutsideThePush) {
    for (const MigrationPhase phase : {MigrationPhase::setup, MigrationPhase::stop_and_copy, MigrationPhase::pull,
                                       MigrationPhase::pull_paused, MigrationPhase::verifying}) {
        Push push(std::vector<int>(40, 96));
        push.allow_post_copy().row.phase = phase;
        EXPECT_EQ(push.act(), SteeringAct::none);
    }
}

TEST(Steer, WaitsForDisksThatAreCopiedAlong) {
    Push push(std::vector<int>(40, 96));
    push.sample.disk_remaining = gibibytes(1);
    EXPECT_EQ(push.act(), SteeringAct::none);
}

TEST(Steer, SetsTheFirstDowntimeLimitBelowThePolicyByWhatTheSwitchCosts) {
    MigrationTerms terms;
    terms.max_downtime = Milliseconds{300};
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{0}), Milliseconds{300});
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{80}), Milliseconds{220});
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{290}), Milliseconds{200});
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{80}, {}, 2), Milliseconds{110}) << "QEMU sees a burst";
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{80}, {}, 0.5), Milliseconds{220}) << "never above what is asked";
    terms.max_downtime = Milliseconds{1};
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{80}), Milliseconds{1});
}

TEST(ForecastEnd, AddsUpTheRoundsThatAreLeft) {
    const Push push({400, 160});  // each round leaves 0.4 of the one before: 160, 64, then 25.6 fit into 300 ms
    const EndForecast end = forecast_end(push.row, push.sample);
    ASSERT_TRUE(end.converges);
    EXPECT_NEAR(static_cast<double>(end.left->count()), 1'600 + 640 + 256, 5);
    EXPECT_NEAR(static_cast<double>(end.downtime->count()), 256, 3);
    EXPECT_EQ(end.at_best, Milliseconds{1'600});
}

TEST(ForecastEnd, SeesThatASaturatedSetNeverFits) {
    const Push push({96, 96});
    const EndForecast end = forecast_end(push.row, push.sample);
    EXPECT_FALSE(end.converges);
    EXPECT_FALSE(end.left);
}

TEST(ForecastEnd, KnowsNothingWhileNothingMoves) {
    Push push({96});
    push.sample.throughput = BytesPerSecond(0);
    EXPECT_EQ(forecast_end(push.row, push.sample), EndForecast{});
    EXPECT_EQ(push.allow_post_copy().within(Milliseconds{60'000}).act(), SteeringAct::none);
}

TEST(ForecastEnd, CountsThePullByWhatIsLeft) {
    Push push({96});
    push.row.phase = MigrationPhase::pull;
    EXPECT_EQ(*forecast_end(push.row, push.sample).left, Milliseconds{960});
}

TEST(Steer, SetsTheDowntimeLimitBelowThePolicyByWhatTheSocketHolds) {
    MigrationTerms terms;
    terms.max_downtime = Milliseconds{300};
    const Milliseconds slow = socket_time(BytesPerSecond(12'500'000), {});
    EXPECT_EQ(slow, Milliseconds{132});
    EXPECT_EQ(first_downtime_limit(terms, Milliseconds{20}, slow), Milliseconds{148});
    EXPECT_EQ(last_downtime_limit(terms, slow), Milliseconds{168});
    EXPECT_EQ(last_downtime_limit(terms, Milliseconds{1'000}), Milliseconds{120});
    EXPECT_EQ(socket_time(BytesPerSecond(1'250'000'000), {}), Milliseconds{2});
    EXPECT_EQ(socket_time(BytesPerSecond(12'500'000), BytesPerSecond(2'500'000)), Milliseconds{20}) << "it never fills";
    EXPECT_EQ(socket_time(BytesPerSecond(0), {}), Milliseconds{0});
}

TEST(PullBandwidth, LeavesRoomOnALineThatIsKnownUnlessThePolicySaysOtherwise) {
    MigrationTerms terms;
    EXPECT_EQ(pull_bandwidth(terms, BytesPerSecond(12'500'000)), BytesPerSecond(11 * 1'048'576)) << "whole MiB/s";
    EXPECT_EQ(pull_bandwidth(terms, BytesPerSecond(0)), std::nullopt);
    terms.post_copy_bandwidth = BytesPerSecond(20'000'000);
    EXPECT_EQ(pull_bandwidth(terms, BytesPerSecond(12'500'000)), BytesPerSecond(20'000'000));
}

TEST(TimeToEmptySocket, IsThatOfItsPayloadWhereItIsWorthWaitingFor) {
    EXPECT_EQ(time_to_empty_socket(BytesPerSecond(12'500'000)), Milliseconds(168 + 100));
    EXPECT_EQ(time_to_empty_socket(BytesPerSecond(1'250'000'000)), Milliseconds(0));
    EXPECT_EQ(time_to_empty_socket(BytesPerSecond(0)), Milliseconds(0)) << "nothing is known of the line";
    EXPECT_EQ(time_to_empty_socket(BytesPerSecond(100'000)), Milliseconds(1'000)) << "never longer than a second";
}

}  // namespace
}  // namespace ballast::migration
