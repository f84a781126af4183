// What past migrations say about the next one, and what the link has to give.
#include "migration/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "migration/steer.h"
#include "tests/support/builders.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using ballast::test::a_cluster;
using ballast::test::a_host;
using ballast::test::a_vm;
using ::testing::HasSubstr;

const HostId h1("h1");
const HostId h2("h2");
const HostId h3("h3");

double mib_per_second(BytesPerSecond rate) {
    return model::as_double(rate) / 1024 / 1024;
}

/// One that succeeded: 200 MiB at `bandwidth_mib`, begun `minute` minutes after noon, start-up 800 ms.
Migration a_past(int number, double bandwidth_mib, const HostId& from = h1, const HostId& to = h2) {
    Migration row;
    row.id = JobId("m" + std::to_string(number));
    row.vm = VmId("web1");
    row.from = from;
    row.to = to;
    row.phase = MigrationPhase::succeeded;
    row.started = noon + std::chrono::minutes(10 * number);
    row.called = row.started;
    row.setup = Milliseconds(800);
    row.sent = mebibytes(200);
    row.downtime = Milliseconds(40);
    row.memory = mebibytes(256);
    const auto took = model::time_of(200 / bandwidth_mib);
    row.finished = *row.called + *row.setup + took;
    row.total = *row.finished - *row.called;
    return row;
}

Snapshot with(const std::vector<Migration>& rows) {
    Snapshot snapshot = a_cluster().with(a_host("h1")).with(a_host("h2")).with(a_host("h3")).build();
    for (const Migration& row : rows) snapshot.migrations.put(row);
    return snapshot;
}

Snapshot with_speed(Snapshot snapshot, const std::string& host, double mib) {
    Host row = *snapshot.hosts.find(HostId(host));
    row.settings.link_speed = mebibytes_per_second(mib);
    snapshot.hosts.put(row);
    return snapshot;
}

LinkEstimate link(const Snapshot& snapshot, const HostId& from = h1, const HostId& to = h2) {
    return estimate_link(snapshot, PairHistories(snapshot), from, to);
}

TEST(Link, IsAssumedInAWideRangeBeforeAnythingMoved) {
    const LinkEstimate estimate = link(with({}));
    EXPECT_EQ(estimate.source, "assumed");
    EXPECT_GT(estimate.bandwidth.high / estimate.bandwidth.low, 20);
}

TEST(History, TakesQemusFigureOfAMoveThatWasTooShortToBeRead) {
    Migration row = a_past(0, 50);
    row.setup = Milliseconds(500);
    row.finished = *row.called + Milliseconds(2'000);  // most of it the hand-over
    row.sent = mebibytes(80);
    row.rounds = {{.round = 1,
                   .at = Milliseconds(700),
                   .sent = mebibytes(78),
                   .remaining = mebibytes(2),
                   .throughput = BytesPerSecond(300 * 1'048'576)}};
    const auto history = PairHistories(with({row})).of(h1, h2);
    ASSERT_TRUE(history.bandwidth);
    EXPECT_EQ(history.bandwidth->likely, BytesPerSecond(300 * 1'048'576));
    row.rounds.clear();
    EXPECT_FALSE(PairHistories(with({row})).of(h1, h2).bandwidth) << "a time that is mostly hand-over says nothing";
}

TEST(Link, IsTheSlowerConfiguredSpeed) {
    const LinkEstimate estimate = link(with_speed(with_speed(with({}), "h1", 120), "h2", 12));
    EXPECT_NEAR(mib_per_second(estimate.bandwidth.likely), 11.3, 0.2);
    EXPECT_LE(mib_per_second(estimate.bandwidth.high), 12.01);
    EXPECT_EQ(estimate.source, "link speed of h2");
}

TEST(Link, IsWhatPastMigrationsGot) {
    std::vector<Migration> rows;
    for (int i = 0; i < 8; ++i) rows.push_back(a_past(i, 50));
    const LinkEstimate estimate = link(with(rows));
    EXPECT_NEAR(mib_per_second(estimate.bandwidth.likely), 50, 2);
    EXPECT_LT(estimate.bandwidth.high / estimate.bandwidth.low, 2);
    EXPECT_EQ(estimate.source, "8 past migrations");
}

TEST(Link, FollowsTheLatestMigrations) {
    std::vector<Migration> rows;
    for (int i = 0; i < 5; ++i) rows.push_back(a_past(i, 100));
    for (int i = 5; i < 12; ++i) rows.push_back(a_past(i, 20));
    EXPECT_NEAR(mib_per_second(link(with(rows)).bandwidth.likely), 22, 4);
}

TEST(Link, TakesNoLessonFromMigrationsThatWereCapped) {
    Migration capped = a_past(1, 10);
    capped.terms.bandwidth = mebibytes_per_second(10);
    EXPECT_EQ(link(with({capped})).source, "assumed");
    capped.terms.bandwidth = mebibytes_per_second(100);
    EXPECT_NEAR(mib_per_second(link(with({capped})).bandwidth.likely), 10, 0.5);
}

TEST(Link, CountsThePastBelowTheConfiguredSpeedOnly) {
    const Snapshot slower = with_speed(with({a_past(1, 30), a_past(2, 30)}), "h1", 100);
    EXPECT_NEAR(mib_per_second(link(slower).bandwidth.likely), 30, 1);
    const Snapshot of_another_time = with_speed(with({a_past(1, 300), a_past(2, 300)}), "h1", 100);
    EXPECT_NEAR(mib_per_second(link(of_another_time).bandwidth.likely), 94, 1);
}

TEST(Link, IsSharedWithWhatRunsNow) {
    Migration running = a_past(9, 50, h1, h3);
    running.phase = MigrationPhase::push;
    running.finished.reset();
    const Snapshot snapshot = with_speed(with({running}), "h1", 100);
    EXPECT_EQ(link(snapshot).sharing, 2);
    EXPECT_NEAR(mib_per_second(link(snapshot).bandwidth.likely), 47, 1);
    EXPECT_EQ(link(snapshot, h2, h1).sharing, 1);  // the other direction has the link to itself
    EXPECT_EQ(estimate_link(snapshot, PairHistories(snapshot), h1, h3, running.id).sharing, 1);
}

TEST(Link, CountsMigrationsThatSharedItInThePastAtWhatTheyWouldHaveGotAlone) {
    std::vector<Migration> rows;
    for (int i = 0; i < 6; ++i) {
        Migration one = a_past(2 * i, 25);
        Migration other = a_past(2 * i + 1, 25, h1, h3);
        other.called = one.called;
        other.finished = one.finished;
        rows.push_back(one);
        rows.push_back(other);
    }
    EXPECT_NEAR(mib_per_second(link(with(rows)).bandwidth.likely), 50, 2);
}

TEST(History, OfAPairIsItsOwnThenItsHostsThenAll) {
    const Snapshot snapshot = with({a_past(1, 50), a_past(2, 50), a_past(3, 50)});
    const PairHistories histories(snapshot);
    EXPECT_EQ(histories.of(h1, h2).samples, 3);
    const PairHistory other = histories.of(h1, h3);
    EXPECT_EQ(other.samples, 0);
    ASSERT_TRUE(other.bandwidth);
    EXPECT_GT(other.bandwidth->high / other.bandwidth->low,
              histories.of(h1, h2).bandwidth->high / histories.of(h1, h2).bandwidth->low);
    EXPECT_FALSE(PairHistories(with({})).of(h1, h2).bandwidth);
}

TEST(History, LearnsTheFixedCosts) {
    std::vector<Migration> rows;
    for (int i = 0; i < 9; ++i) {
        rows.push_back(a_past(i, 50));
        rows.back().setup = Milliseconds(2000);
        rows.back().downtime = Milliseconds(90);
    }
    const PairHistory history = PairHistories(with(rows)).of(h1, h2);
    EXPECT_NEAR(model::seconds_of(history.setup.likely), 2.0, 0.15);
    EXPECT_NEAR(model::seconds_of(history.switch_over.likely), 0.09, 0.01);
    EXPECT_LE(history.setup.low, history.setup.likely);
    EXPECT_LE(history.setup.likely, history.setup.high);
}

/// 200 MiB at 50 MiB/s in two rounds, the first of which left `left_mib`.
Migration in_rounds(int number, double left_mib, Milliseconds downtime) {
    Migration row = a_past(number, 50);
    const Bytes first = mebibytes(180);
    row.rounds = {{.round = 1,
                   .at = *row.setup + Milliseconds(3600),
                   .sent = first,
                   .remaining = model::bytes_of(left_mib * 1024 * 1024),
                   .throughput = mebibytes_per_second(50)}};
    row.downtime = downtime;
    return row;
}

std::vector<Migration> five_times(double left_mib, Milliseconds downtime) {
    std::vector<Migration> rows;
    for (int i = 0; i < 5; ++i) rows.push_back(in_rounds(i, left_mib, downtime));
    return rows;
}

double switch_over_ms(const std::vector<Migration>& rows) {
    return 1000 * model::seconds_of(PairHistories(with(rows)).of(h1, h2).switch_over.likely);
}

TEST(History, TakesTheLastDirtySetOutOfTheSwitchOver) {
    EXPECT_NEAR(switch_over_ms(five_times(8, Milliseconds(230))), 37, 8);  // 160 ms of it are 8 MiB, 31 the socket
    EXPECT_NEAR(switch_over_ms(five_times(12, Milliseconds(200))), 3, 4);  // 240 ms: nothing is left
    EXPECT_LE(switch_over_ms(five_times(2, Milliseconds(200))), 100);      // may hold more than the round before left
}

TEST(History, BelievesALongSwitchOverWhereHardlyAnythingWasLeft) {
    EXPECT_NEAR(switch_over_ms(five_times(0.5, Milliseconds(230))), 190, 8);
    std::vector<Migration> rows = five_times(8, Milliseconds(200));
    rows.push_back(in_rounds(9, 0.1, Milliseconds(400)));
    EXPECT_LE(switch_over_ms(rows), 60);
}

TEST(History, LearnsTheHandOverFromMovesThatEndedByThemselvesNotFromForecastsThatWereOff) {
    std::vector<Migration> rows = five_times(1, Milliseconds(30));
    for (Migration& row : rows) {
        row.finished = *row.finished + Milliseconds(900);  // 0.8 s start-up, 4 s of bytes
        Forecast forecast = decide(an_input(50, a_curve(1, 1)), ModeChoice::pre_copy);
        for (ModeForecast& mode : forecast.modes) mode.total.likely = Milliseconds(2000);
        row.forecast = JsonText{to_json_text(forecast)};
    }
    const auto finish = [](const std::vector<Migration>& all) {
        return model::seconds_of(PairHistories(with(all)).of(h1, h2).finish.likely);
    };
    EXPECT_NEAR(finish(rows), 0.9, 0.03);
    for (Migration& row : rows) row.throttle = 50;
    EXPECT_NEAR(finish(rows), 0.2, 0.01);  // what is assumed
}

TEST(History, PullsAForecastThatIsAlwaysTooShortTowardsTheOutcome) {
    std::vector<Migration> rows;
    for (int i = 0; i < 12; ++i) {
        Migration row = a_past(i, 10);  // 20.8 s
        row.mode = MigrationMode::stop_and_copy;
        Forecast forecast = decide(an_input(12.5, a_curve(1, 1)), ModeChoice::stop_and_copy);  // 20.5 s
        forecast.modes[0].total.likely = Milliseconds(16'000);
        row.forecast = JsonText{to_json_text(forecast)};
        rows.push_back(row);
    }
    const PairHistory history = PairHistories(with(rows)).of(h1, h2);
    EXPECT_EQ(history.total.samples, 12);
    EXPECT_NEAR(history.total.factor, 1.3, 0.06);
    EXPECT_LT(history.total.spread, 0.1);
}

TEST(History, DoesNotCorrectTwice) {
    // The stored forecast was corrected by 1.3 already and right: the factor stays.
    std::vector<Migration> rows;
    for (int i = 0; i < 12; ++i) {
        Migration row = a_past(i, 10);
        row.mode = MigrationMode::stop_and_copy;
        ForecastInput input = an_input(16.8, a_curve(1, 1));
        input.past.total = {.samples = 12, .factor = 1.3, .spread = 0.05};
        const Forecast forecast = decide(input, ModeChoice::stop_and_copy);
        row.finished = *row.called + forecast.modes[0].total.likely;
        row.forecast = JsonText{to_json_text(forecast)};
        rows.push_back(row);
    }
    EXPECT_NEAR(PairHistories(with(rows)).of(h1, h2).total.factor, 1.3, 0.08);
}

TEST(History, LearnsThatLastCopiesOutlastTheLimitUntilTheyDoNoMore) {
    std::vector<Migration> rows;
    const auto overrun = [&] { return PairHistories(with(rows)).of(h1, h2).overrun; };
    const auto add = [&](double of_the_limit, MigrationMode mode = MigrationMode::pre_copy) {
        Migration row = a_past(static_cast<int>(rows.size()), 50);
        row.mode = mode;
        ForecastInput input = an_input(50, a_curve(1, 1));
        input.past.switch_over = {};
        row.forecast = JsonText{to_json_text(decide(input, ModeChoice::pre_copy))};
        const Milliseconds limit = downtime_limit_of(input);
        const double last_copy = of_the_limit * static_cast<double>(limit.count());
        row.downtime = Milliseconds(std::llround(last_copy)) + socket_time(input.link.bandwidth.likely, {});
        rows.push_back(row);
        return limit;
    };
    EXPECT_EQ(overrun(), 1);
    add(0.3);
    EXPECT_EQ(overrun(), 1) << "a set that was smaller says nothing against it";
    const Milliseconds before = add(2);
    EXPECT_NEAR(overrun(), 2, 0.1);
    ForecastInput next = an_input(50, a_curve(1, 1));
    next.past.switch_over = {};
    next.past.overrun = overrun();
    EXPECT_LT(downtime_limit_of(next), before * 6 / 10);
    add(9, MigrationMode::stop_and_copy);
    rows.back().interventions = {{.at = {}, .what = "raise_downtime", .why = {}, .actor = {}}};
    EXPECT_NEAR(overrun(), 2, 0.1) << "no limit of QEMU's ended that one";
    add(9);
    rows.back().interventions = {{.at = {}, .what = "raise_downtime", .why = {}, .actor = {}}};
    EXPECT_NEAR(overrun(), 2, 0.1) << "the limit was another in the end";
    for (int i = 0; i < 30; ++i) add(0.9);
    EXPECT_EQ(overrun(), 1);
}

TEST(History, TakesQemusBandwidthForThatOfABurstUntilMovesHaveShownIt) {
    PairHistory past;
    EXPECT_EQ(overrun_to_expect(with({}), past, h1, h2), 1.5);
    EXPECT_EQ(overrun_to_expect(with_speed(with({}), "h1", 12), past, h1, h2), 1) << "a line that is known";
    past.samples = 4;
    EXPECT_EQ(overrun_to_expect(with({}), past, h1, h2), 1.25);
    past.overrun = 2;
    EXPECT_EQ(overrun_to_expect(with({}), past, h1, h2), 2);
}

TEST(History, IgnoresWhatFailed) {
    Migration failed = a_past(1, 50);
    failed.phase = MigrationPhase::failed;
    EXPECT_EQ(PairHistories(with({failed})).of(h1, h2).samples, 0);
    EXPECT_FALSE(wall_time(failed));
}

TEST(Input, IsReadFromTheInventory) {
    Snapshot snapshot = with({});
    Vm vm = a_vm("web1").on("h1").running().build();
    vm.spec.memory = gibibytes(1);
    vm.balloon = mebibytes(600);
    const ForecastInput input = input_for(snapshot, PairHistories(snapshot), vm, h2, mebibytes(200), noon);
    EXPECT_EQ(input.memory, mebibytes(600));
    EXPECT_EQ(input.content, mebibytes(200));
    EXPECT_EQ(input.from, h1);
    EXPECT_EQ(input.no_post_copy, "");
}

TEST(Input, KnowsWhatTheLastMigrationSent) {
    Migration last = a_past(1, 50);
    last.rounds = {{.round = 1, .at = Milliseconds(4000), .sent = mebibytes(150), .remaining = {}, .throughput = {}},
                   {.round = 2, .at = Milliseconds(4800), .sent = mebibytes(170), .remaining = {}, .throughput = {}}};
    Snapshot snapshot = with({last});
    Vm vm = a_vm("web1").on("h1").running().build();
    vm.balloon = mebibytes(256);
    const PairHistories histories(snapshot);
    EXPECT_EQ(input_for(snapshot, histories, vm, h2, Bytes(0), noon).content, mebibytes(150));
    EXPECT_EQ(input_for(snapshot, histories, vm, h2, mebibytes(40), noon).content, mebibytes(150));
    EXPECT_EQ(input_for(snapshot, histories, vm, h2, mebibytes(180), noon).content, mebibytes(180));
    EXPECT_EQ(input_for(snapshot, histories, vm, h2, mebibytes(250), noon).content, mebibytes(225));
}

TEST(Input, NamesWhyThePairCannotPull) {
    Snapshot snapshot = with({});
    Host target = *snapshot.hosts.find(h2);
    target.facts.userfaultfd_likely = false;
    snapshot.hosts.put(target);
    const Vm vm = a_vm("web1").on("h1").running().build();
    EXPECT_THAT(input_for(snapshot, PairHistories(snapshot), vm, h2, Bytes(0), noon).no_post_copy,
                HasSubstr("userfaultfd"));
    HostPair pair;
    pair.id = pair_id(h1, h2);
    pair.from = h1;
    pair.to = h2;
    pair.checks = {{.name = "userfaultfd", .verdict = CheckVerdict::ok, .detail = "", .way_out = ""}};
    snapshot.pairs.put(pair);
    EXPECT_EQ(input_for(snapshot, PairHistories(snapshot), vm, h2, Bytes(0), noon).no_post_copy, "");
}

TEST(History, LearnsNothingOfAForecastThatDidNotKnowWhatTheGuestHolds) {
    std::vector<Migration> rows = five_times(1, Milliseconds(30));
    const auto factor = [&](Bytes content) {
        for (Migration& row : rows) {
            ForecastInput input = an_input(20, a_curve(1, 1));
            input.content = content;
            row.forecast = JsonText{to_json_text(decide(input, ModeChoice::pre_copy))};
        }
        return PairHistories(with(rows)).of(h1, h2).total.factor;
    };
    EXPECT_LT(factor(mebibytes(256)), 0.8) << "4.8 s instead of 13";
    EXPECT_EQ(factor(Bytes(0)), 1.0);
}

}  // namespace
}  // namespace ballast::migration
