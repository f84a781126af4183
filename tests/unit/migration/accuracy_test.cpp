// Outcome against forecast.
#include "migration/accuracy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using ::testing::SizeIs;

/// Forecast by the model, ended at `factor` times that.
Migration ended_at(int number, double factor, MigrationMode mode = MigrationMode::pre_copy,
                   const HostId& to = HostId("h2")) {
    ForecastInput input = an_input(20, a_curve(5, 40));
    std::swap(input.link.bandwidth.likely, *input.terms.bandwidth);  // the link itself is slow: it is so to the end
    input.link.bandwidth.low = input.link.bandwidth.high = input.link.bandwidth.likely;
    const Forecast forecast = decide(input, ModeChoice::auto_);
    const ModeForecast& one = of_mode(forecast, mode);
    Migration row;
    row.id = JobId("m" + std::to_string(number));
    row.from = HostId("h1");
    row.to = to;
    row.mode = mode;
    row.phase = MigrationPhase::succeeded;
    row.called = noon;
    row.finished = noon + model::time_of(factor * model::seconds_of(one.total.likely));
    row.sent = model::bytes_of(factor * model::as_double(one.bytes.likely));
    row.downtime = model::time_of(factor * model::seconds_of(one.downtime.likely));
    row.forecast = JsonText{to_json_text(forecast)};
    return row;
}

Snapshot with(const std::vector<Migration>& rows) {
    Snapshot snapshot;
    for (const Migration& row : rows) snapshot.migrations.put(row);
    return snapshot;
}

TEST(Accuracy, OfForecastsThatCameTrueIsPerfect) {
    const Accuracy accuracy = measure_accuracy(with({ended_at(1, 1), ended_at(2, 1)}));
    EXPECT_EQ(accuracy.all.migrations, 2);
    EXPECT_NEAR(accuracy.all.total.median, 0, 0.001);
    EXPECT_NEAR(accuracy.all.bytes.p90, 0, 0.001);
    EXPECT_EQ(accuracy.all.downtime_within, 1);
    EXPECT_EQ(accuracy.all.total_inside, 1);
}

TEST(Accuracy, IsTheDistributionOfTheErrorsRelativeToTheOutcome) {
    std::vector<Migration> rows;
    for (int i = 0; i < 9; ++i) rows.push_back(ended_at(i, 1.25));  // |1.25 - 1| / 1.25 = 0.2
    rows.push_back(ended_at(9, 2));                                 // 0.5
    const Accuracy accuracy = measure_accuracy(with(rows));
    EXPECT_NEAR(accuracy.all.total.median, 0.2, 0.01);
    EXPECT_NEAR(accuracy.all.total.p90, 0.2, 0.01);
    EXPECT_EQ(accuracy.all.total.samples, 10);
    rows.push_back(ended_at(10, 2));
    EXPECT_NEAR(measure_accuracy(with(rows)).all.total.p90, 0.5, 0.01);
}

TEST(Accuracy, CountsDowntimesWithinAFactorOfOneAndAHalf) {
    const Accuracy accuracy =
        measure_accuracy(with({ended_at(1, 1.4), ended_at(2, 0.7), ended_at(3, 1.6), ended_at(4, 3)}));
    EXPECT_NEAR(accuracy.all.downtime_within, 0.5, 0.01);
    EXPECT_EQ(accuracy.all.downtime.samples, 4);
    EXPECT_LT(accuracy.all.total_inside, 1);
}

TEST(Accuracy, IsShownByModeAndByPair) {
    const Accuracy accuracy = measure_accuracy(with({ended_at(1, 1), ended_at(2, 2, MigrationMode::post_copy),
                                                     ended_at(3, 1, MigrationMode::pre_copy, HostId("h3"))}));
    ASSERT_THAT(accuracy.by_mode, SizeIs(2));
    EXPECT_EQ(accuracy.by_mode[0].mode, MigrationMode::pre_copy);
    EXPECT_EQ(accuracy.by_mode[0].migrations, 2);
    EXPECT_NEAR(accuracy.by_mode[1].total.median, 0.5, 0.01);
    ASSERT_THAT(accuracy.by_pair, SizeIs(2));
    EXPECT_EQ(accuracy.by_pair[1].to, HostId("h3"));
}

TEST(Accuracy, LeavesOutWhatFailedAndCountsWhatHasNoForecast) {
    Migration failed = ended_at(1, 1);
    failed.phase = MigrationPhase::failed;
    Migration old = ended_at(2, 1);
    old.forecast = JsonText{};
    Migration of_another_version = ended_at(3, 1);
    of_another_version.forecast = JsonText{R"({"surprise": 1})"};
    const Accuracy accuracy = measure_accuracy(with({failed, old, of_another_version, ended_at(4, 1)}));
    EXPECT_EQ(accuracy.all.migrations, 1);
    EXPECT_EQ(accuracy.without_forecast, 2);
    EXPECT_FALSE(outcome_of(failed));
}

TEST(Accuracy, OfNothingIsNothing) {
    const Accuracy accuracy = measure_accuracy({});
    EXPECT_EQ(accuracy.all.migrations, 0);
    EXPECT_EQ(accuracy.all.total.samples, 0);
}

TEST(Accuracy, GoesToJsonAndBack) {
    const Accuracy accuracy = measure_accuracy(with({ended_at(1, 1.2)}));
    const auto back = parse_as<Accuracy>(to_json_text(accuracy), "accuracy");
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, accuracy);
}

}  // namespace
}  // namespace ballast::migration
