// The dirty-page curve: what samples and rounds say, and what they leave open.
#include "migration/curve.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using model::WritingSet;

constexpr double mib = 1024.0 * 1024;

struct Guest {
    WritingSet fast;
    WritingSet slow;
    bool sequential = false;
    double memory = 256 * mib;

    [[nodiscard]] double dirtied(double seconds) const {
        return model::dirtied(fast, seconds, sequential) + model::dirtied(slow, seconds, sequential);
    }
};

/// What libvirt would say: 512 samples per GiB, whole MiB/s.
std::vector<CurvePoint> sampled(const Guest& guest, const std::vector<int>& windows, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<CurvePoint> points;
    const int pages = static_cast<int>(guest.memory / mib / 2);
    for (const int seconds : windows) {
        std::binomial_distribution<int> found(pages, std::min(1.0, guest.dirtied(seconds) / guest.memory));
        const double seen = guest.memory * found(random) / pages;
        const double rate = std::floor(seen / seconds / mib);
        points.push_back(sample_point(Milliseconds(seconds * 1000), mebibytes_per_second(rate),
                                      mebibytes(std::max(2, seconds)), model::bytes_of(guest.memory)));
    }
    return points;
}

/// What the rounds of a migration of that guest would be: `bandwidth` bytes/s, a new reading at each end of a round.
Migration moved(const Guest& guest, double bandwidth, int rounds) {
    Migration migration;
    migration.memory = model::bytes_of(guest.memory);
    migration.finished = noon;
    double at = 0.2;
    double sent = 0;
    double left = guest.memory;
    const auto reading = [&](int round, double dirty_rate) {
        migration.rounds.push_back({.round = round,
                                    .at = model::time_of(at),
                                    .sent = model::bytes_of(sent),
                                    .remaining = model::bytes_of(left),
                                    .throughput = model::rate_of(bandwidth),
                                    .dirty_pages_per_second = static_cast<std::int64_t>(dirty_rate / model::page)});
    };
    migration.setup = model::time_of(at);
    for (int round = 1; round <= rounds; ++round) {
        const double seconds = left / bandwidth;
        sent += left;
        at += seconds;
        left = guest.dirtied(seconds);
        reading(round, left / seconds);
    }
    return migration;
}

class SampledGuests : public ::testing::TestWithParam<unsigned> {};

TEST_P(SampledGuests, WorkingSetOfARandomWriterIsFoundWithinItsRange) {
    const Guest guest{.fast = {.rate = 78 * mib, .size = 96 * mib}, .slow = {}};
    const auto curve = fit(sampled(guest, {1, 2, 4, 8}, GetParam()), mebibytes(256), noon);
    ASSERT_TRUE(curve);
    EXPECT_NEAR(in_mebibytes(curve->working_set.likely), 96, 30);
    EXPECT_LT(curve->rate.low, mebibytes_per_second(130));
    EXPECT_GT(curve->rate.high, mebibytes_per_second(60));
    EXPECT_EQ(curve->source, "samples");
}

TEST_P(SampledGuests, WhatIsDirtiedWithinTheWindowsIsSaidAgain) {
    const Guest guest{.fast = {.rate = 20 * mib, .size = 160 * mib}, .slow = {}};
    const auto curve = fit(sampled(guest, {1, 1, 2, 2, 4, 4, 8, 8}, GetParam()), mebibytes(256), noon);
    ASSERT_TRUE(curve);
    for (const double seconds : {2.0, 4.0, 8.0}) {
        const double told = in_mebibytes(dirtied_within(*curve, model::time_of(seconds)));
        EXPECT_NEAR(told, guest.dirtied(seconds) / mib, 12 + 0.15 * guest.dirtied(seconds) / mib) << seconds;
    }
}

TEST_P(SampledGuests, ASaturatedSetLeavesTheRateOpenUpwards) {
    const Guest guest{.fast = {.rate = 400 * mib, .size = 64 * mib}, .slow = {}};
    const auto curve = fit(sampled(guest, {1, 2, 4, 8}, GetParam()), mebibytes(256), noon);
    ASSERT_TRUE(curve);
    EXPECT_GT(curve->rate.high.count(), 4 * curve->rate.low.count());
    EXPECT_GT(curve->rate.high, mebibytes_per_second(300));
    EXPECT_NEAR(in_mebibytes(curve->working_set.likely), 64, 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SampledGuests, ::testing::Range(1U, 9U));

TEST(DirtyCurve, OfAnIdleGuestIsNearlyNothing) {
    const auto curve = fit(sampled({}, {1, 2, 4}, 1), mebibytes(256), noon);
    ASSERT_TRUE(curve);
    EXPECT_LT(dirtied_within(*curve, Milliseconds(10'000)), mebibytes(3));
    EXPECT_LT(dirtied_within(*curve, Milliseconds(10'000), Bound::high), mebibytes(12));
}

TEST(DirtyCurve, HasARangeThatShrinksWithMoreSamples) {
    const Guest guest{.fast = {.rate = 30 * mib, .size = 64 * mib}, .slow = {}};
    const auto one = fit(sampled(guest, {1}, 3), mebibytes(256), noon);
    const auto many = fit(sampled(guest, {1, 1, 2, 2, 3, 3, 4, 4, 6, 6, 8, 8}, 3), mebibytes(256), noon);
    ASSERT_TRUE(one);
    ASSERT_TRUE(many);
    const auto width = [](const DirtyCurve& curve) { return curve.working_set.high / curve.working_set.low; };
    EXPECT_GT(width(*one), 2 * width(*many));
}

TEST(DirtyCurve, IsNotPulledAsideByOneSampleThatIsOff) {
    const Guest guest{.fast = {.rate = 30 * mib, .size = 64 * mib}, .slow = {}};
    auto points = sampled(guest, {1, 1, 2, 2, 4, 4, 8, 8}, 5);
    const auto clean = fit(points, mebibytes(256), noon);
    points.push_back(sample_point(Milliseconds(4000), mebibytes_per_second(55), mebibytes(4), mebibytes(256)));
    const auto spoilt = fit(points, mebibytes(256), noon);
    EXPECT_NEAR(in_mebibytes(spoilt->working_set.likely), in_mebibytes(clean->working_set.likely), 15);
}

TEST(DirtyCurve, HasASecondSetWhereTheSamplesDemandIt) {
    const Guest guest{.fast = {.rate = 70 * mib, .size = 10 * mib}, .slow = {.rate = 12 * mib, .size = 200 * mib}};
    std::vector<CurvePoint> points;
    for (const double seconds : {0.05, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 8.0, 16.0})
        points.push_back({.window = model::time_of(seconds),
                          .dirtied = model::bytes_of(guest.dirtied(seconds)),
                          .error = model::bytes_of(0.03 * guest.dirtied(seconds))});
    const auto curve = fit(points, mebibytes(512), noon);
    ASSERT_TRUE(curve);
    EXPECT_GT(curve->slow_set, mebibytes(60));
    for (const double seconds : {0.1, 0.4, 2.0, 8.0})
        EXPECT_NEAR(in_mebibytes(dirtied_within(*curve, model::time_of(seconds))), guest.dirtied(seconds) / mib,
                    0.2 * guest.dirtied(seconds) / mib)
            << seconds;
}

TEST(DirtyCurve, TellsSequentialFromRandomWritesWhenTheBendIsSharp) {
    for (const bool sequential : {false, true}) {
        const Guest guest{
            .fast = {.rate = 40 * mib, .size = 100 * mib}, .slow = {}, .sequential = sequential, .memory = 512 * mib};
        std::vector<CurvePoint> points;
        for (const double seconds : {0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0})
            points.push_back({.window = model::time_of(seconds),
                              .dirtied = model::bytes_of(guest.dirtied(seconds)),
                              .error = mebibytes(2)});
        const auto curve = fit(points, mebibytes(512), noon);
        ASSERT_TRUE(curve);
        EXPECT_EQ(curve->order, sequential ? WriteOrder::sequential : WriteOrder::random);
        EXPECT_NEAR(in_mebibytes(curve->working_set.likely), 100, 8);
    }
}

TEST(DirtyCurve, NeverFallsAndNeverExceedsItsSet) {
    std::mt19937 random(11);
    std::uniform_real_distribution<double> exponent(0, 9);
    for (int i = 0; i < 300; ++i) {
        const WriteOrder order = i % 2 == 0 ? WriteOrder::random : WriteOrder::sequential;
        const DirtyCurve curve = a_curve(std::exp(exponent(random)) / 10, std::exp(exponent(random)) / 10, order);
        Bytes before;
        for (int ms = 1; ms < 100'000; ms *= 3) {
            const Bytes now = dirtied_within(curve, Milliseconds(ms));
            EXPECT_GE(now, before);
            EXPECT_LE(now, curve.working_set.likely);
            EXPECT_LE(now.count(), curve.rate.likely.count() * ms / 1000 + 1);
            before = now;
        }
    }
}

TEST(DirtyCurve, NeedsASample) {
    EXPECT_FALSE(fit({}, mebibytes(256), noon));
}

TEST(DirtyCurve, OfAnUnmeasuredGuestIsWide) {
    const DirtyCurve curve = unmeasured(mebibytes(256), noon);
    EXPECT_EQ(dirtied_within(curve, Milliseconds(10'000), Bound::low), Bytes(0));
    EXPECT_GT(dirtied_within(curve, Milliseconds(10'000), Bound::high), mebibytes(100));
    EXPECT_EQ(curve.source, "nothing");
}

TEST(DirtyCurve, GoesToJsonAndBack) {
    const auto curve =
        fit(sampled({.fast = {.rate = 30 * mib, .size = 64 * mib}, .slow = {}}, {1, 2, 4}, 5), mebibytes(256), noon);
    const auto back = parse_as<DirtyCurve>(to_json_text(*curve), "curve");
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, *curve);
}

TEST(Rounds, SayWhatNoWindowOfASecondCan) {
    const Guest guest{.fast = {.rate = 90 * mib, .size = 24 * mib}, .slow = {}};
    const auto before = fit(sampled(guest, {1, 2, 4}, 7), mebibytes(256), noon);
    const auto after = updated_by_rounds(before, moved(guest, 60 * mib, 6));
    ASSERT_TRUE(before);
    ASSERT_TRUE(after);
    EXPECT_NEAR(in_mebibytes(after->working_set.likely), 24, 4);
    EXPECT_LT(after->rate.high / after->rate.low, before->rate.high / before->rate.low);
    EXPECT_LT(after->rate.low, mebibytes_per_second(90));
    EXPECT_GT(after->rate.high, mebibytes_per_second(90));
    EXPECT_EQ(after->source, "samples and rounds");
}

TEST(Rounds, AloneMakeACurve) {
    const Guest guest{.fast = {.rate = 20 * mib, .size = 60 * mib}, .slow = {}};
    const auto curve = updated_by_rounds({}, moved(guest, 50 * mib, 5));
    ASSERT_TRUE(curve);
    EXPECT_EQ(curve->source, "rounds");
    EXPECT_NEAR(in_mebibytes(dirtied_within(*curve, Milliseconds(5000))), guest.dirtied(5) / mib, 8);
}

TEST(Rounds, OfAMigrationWithoutAnyLeaveTheCurveAsItWas) {
    const auto before = fit(sampled({}, {1, 2}, 1), mebibytes(256), noon);
    EXPECT_EQ(updated_by_rounds(before, Migration{}), before);
    EXPECT_FALSE(updated_by_rounds({}, Migration{}));
}

TEST(Samples, GrowBetterWithEachLookAndALookThatWasBrokenOffTakesNothingAway) {
    const Guest guest{.fast = {.rate = 40 * mib, .size = 30 * mib}, .slow = {}};
    auto curve = fit(sampled(guest, {1, 2, 5}, 1), mebibytes(256), noon);
    const auto width = [](const DirtyCurve& one) { return in_mebibytes(one.working_set.high - one.working_set.low); };
    const double first = width(*curve);
    for (unsigned seed = 2; seed < 5; ++seed)
        curve = updated_by_samples(curve, sampled(guest, {1, 2, 5}, seed), mebibytes(256), noon);
    const double fourth = width(*curve);
    EXPECT_LT(fourth, 0.7 * first);
    curve = updated_by_samples(curve, sampled(guest, {1}, 9), mebibytes(256), noon);
    EXPECT_LT(width(*curve), 1.2 * fourth);
    EXPECT_EQ(updated_by_samples(curve, {}, mebibytes(256), noon), curve);
    EXPECT_EQ(curve->source, "samples");
}

TEST(Rounds, ThatSayLittleWearNothingOut) {
    const Guest guest{.fast = {.rate = 40 * mib, .size = 30 * mib}, .slow = {}};
    auto curve = fit(sampled(guest, {1, 2, 5}, 1), mebibytes(256), noon);
    const auto before = curve->working_set;
    Migration quick;
    quick.memory = mebibytes(256);
    quick.started = noon;
    quick.rounds = {{.round = 1,
                     .at = Milliseconds(300),
                     .sent = mebibytes(90),
                     .remaining = mebibytes(10),
                     .throughput = BytesPerSecond(300 * 1'048'576)}};
    for (int i = 0; i < 20; ++i) curve = updated_by_rounds(curve, quick);
    EXPECT_LT(in_mebibytes(curve->working_set.high), 1.3 * in_mebibytes(before.high));
    EXPECT_GT(in_mebibytes(curve->working_set.low), in_mebibytes(before.low) / 1.3);
}

TEST(Samples, OfALoadThatHasChangedTakeOver) {
    const Guest small{.fast = {.rate = 40 * mib, .size = 20 * mib}, .slow = {}};
    const Guest large{.fast = {.rate = 400 * mib, .size = 120 * mib}, .slow = {}};
    auto curve = fit(sampled(small, {1, 2, 5}, 1), mebibytes(256), noon);
    for (unsigned seed = 2; seed < 12; ++seed)
        curve =
            updated_by_samples(curve, sampled(large, {1, 2, 5}, seed), mebibytes(256), noon + std::chrono::hours(1));
    EXPECT_NEAR(in_mebibytes(curve->working_set.likely), 120, 25);
}

TEST(Rounds, UnderAThrottleAreNotTheGuestsOwnDoing) {
    Migration migration = moved({.fast = {.rate = 20 * mib, .size = 60 * mib}, .slow = {}}, 50 * mib, 8);
    const std::size_t free = points_of_rounds(migration).size();
    migration.throttle = 40;
    EXPECT_LT(points_of_rounds(migration).size(), free);
    EXPECT_GT(points_of_rounds(migration).size(), 0U);
}

TEST(Sample, HasTheErrorOfItsFewPagesAndOfItsStep) {
    const CurvePoint point = sample_point(Milliseconds(1000), mebibytes_per_second(64), mebibytes(2), mebibytes(256));
    EXPECT_EQ(point.dirtied, mebibytes(64));
    EXPECT_NEAR(in_mebibytes(point.error), 256 * std::sqrt(0.25 * 0.75 / 128), 1);
    const CurvePoint nothing = sample_point(Milliseconds(1000), BytesPerSecond(0), mebibytes(2), mebibytes(256));
    EXPECT_GT(nothing.error, mebibytes(1));
}

TEST(Rounds, OfAGuestThatStandsStillSayNothing) {
    const Guest guest{.fast = {.rate = 78 * mib, .size = 96 * mib}, .slow = {}};
    Migration migration = moved(guest, 60 * mib, 4);
    migration.mode = MigrationMode::stop_and_copy;
    EXPECT_TRUE(points_of_rounds(migration).empty());
    migration.mode = MigrationMode::pre_copy;
    const std::size_t without_the_last = points_of_rounds(migration).size();
    migration.rounds.push_back(migration.rounds.back());
    migration.rounds.back().round += 1;
    migration.rounds.back().at += Milliseconds(700);
    migration.rounds.back().remaining = Bytes(0);
    EXPECT_EQ(points_of_rounds(migration).size(), without_the_last);
}

TEST(Rounds, AreNotReadByAnOlderRoundsCount) {
    Migration migration;
    migration.setup = Milliseconds(500);
    migration.rounds = {{.round = 1,
                         .at = Milliseconds(7700),
                         .sent = mebibytes(84),
                         .remaining = mebibytes(16),
                         .throughput = BytesPerSecond(11 * 1'048'576),
                         .dirty_pages_per_second = 539},
                        {.round = 2,
                         .at = Milliseconds(9000),
                         .sent = mebibytes(97),
                         .remaining = mebibytes(16),
                         .throughput = BytesPerSecond(11 * 1'048'576),
                         .dirty_pages_per_second = 539}};
    const auto points = points_of_rounds(migration);
    ASSERT_EQ(points.size(), 2U);
    EXPECT_GT(in_mebibytes(points[1].dirtied), 12) << "what is left, not 539 pages a second";
}

}  // namespace
}  // namespace ballast::migration
