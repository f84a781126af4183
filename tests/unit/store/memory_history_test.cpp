// The memory of hosts over time: rolled up in pure code, and kept and dropped by the store. All time is virtual.
#include "daemon/store/memory_history.h"

#include <gmock/gmock.h>

#include "daemon/store/memory_rollup.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const MemoryResolution& fine = memory_resolutions[0];
constexpr const MemoryResolution& minute = memory_resolutions[1];
constexpr const MemoryResolution& ten_minutes = memory_resolutions[2];

MemoryPoint a_point(const std::string& host, std::int64_t free_gib, double risk = 0, int level = 0) {
    MemoryPoint point;
    point.host = HostId(host);
    point.figures.total = gibibytes(64);
    point.figures.free = gibibytes(free_gib);
    point.figures.guest_in_use = gibibytes(64 - free_gib);
    point.risk = risk;
    point.level = level;
    point.vms = 3;
    return point;
}

MemoryRow a_row(const std::string& host, std::int64_t free_gib, Seconds watched) {
    MemoryRow row;
    row.host = HostId(host);
    row.watched = watched;
    row.figures.free = row.least_free = gibibytes(free_gib);
    return row;
}

Timestamp at_second(std::int64_t second) {
    return Timestamp(Seconds(1'800'000'000 + second));
}

TEST(MemoryRollup, MeansAreWeighedByTheTimeThatWasWatched) {
    const std::vector<MemoryRow> rows{a_row("h1", 10, Seconds(50)), a_row("h1", 4, Seconds(10))};
    const auto made = rolled_up(rows, at_second(0));
    ASSERT_THAT(made, SizeIs(1));
    EXPECT_EQ(made[0].figures.free, gibibytes(9));
    EXPECT_EQ(made[0].watched, Seconds(60));
    EXPECT_EQ(made[0].at, at_second(0));
}

TEST(MemoryRollup, TheWorstOfItsTimeIsKept) {
    std::vector<MemoryRow> rows{a_row("h1", 10, Seconds(10)), a_row("h1", 4, Seconds(10)), a_row("h1", 7, Seconds(10))};
    rows[1].level = 2;
    rows[1].risk = 0.02;
    rows[1].most_unmet = gibibytes(1);
    rows[2].vms = 9;
    const auto made = rolled_up(rows, at_second(0));
    ASSERT_THAT(made, SizeIs(1));
    EXPECT_EQ(made[0].least_free, gibibytes(4));
    EXPECT_EQ(made[0].figures.free, gibibytes(7));
    EXPECT_EQ(made[0].level, 2);
    EXPECT_EQ(made[0].risk, 0.02);
    EXPECT_EQ(made[0].most_unmet, gibibytes(1));
    EXPECT_EQ(made[0].vms, 9);
}

TEST(MemoryRollup, EveryHostHasItsOwnRow) {
    const std::vector<MemoryRow> rows{a_row("h2", 2, Seconds(10)), a_row("h1", 1, Seconds(10))};
    const auto made = rolled_up(rows, at_second(0));
    ASSERT_THAT(made, SizeIs(2));
    EXPECT_EQ(made[0].host, HostId("h1"));
    EXPECT_EQ(made[1].figures.free, gibibytes(2));
}

TEST(MemoryRollup, TenSecondsAreGivenOnceTheyAreOver) {
    OpenRows open;
    EXPECT_THAT(open.note({{a_point("h1", 10)}}, at_second(1)), IsEmpty());
    EXPECT_THAT(open.note({{a_point("h1", 20), a_point("h2", 5)}}, at_second(9)), IsEmpty());
    const auto over = open.note({{a_point("h1", 40)}}, at_second(10));
    ASSERT_THAT(over, SizeIs(2));
    EXPECT_EQ(over[0].at, at_second(0));
    EXPECT_EQ(over[0].figures.free, gibibytes(15));
    EXPECT_EQ(over[0].watched, Seconds(10)) << "two sweeps, and still ten seconds";
    EXPECT_EQ(over[1].host, HostId("h2"));
}

TEST(MemoryRollup, AClockThatIsSetBackEndsTheOpenRowsWhereTheyWereNoted) {
    OpenRows open;
    EXPECT_THAT(open.note({{a_point("h1", 10)}}, at_second(100)), IsEmpty());
    const auto over = open.note({{a_point("h1", 20)}}, at_second(30));
    ASSERT_THAT(over, SizeIs(1));
    EXPECT_EQ(over[0].at, at_second(100));
    EXPECT_EQ(open.note({}, at_second(40)).at(0).at, at_second(30));
}

class MemoryHistoryTest : public StoreTest {
  protected:
    void SetUp() override {
        set_clock(at_second(0));
        open();
    }
    void set_clock(Timestamp time) { clock_->advance(time - clock_->now()); }
    void note(const MemoryPoint& point) {
        const auto noted = ballast::testing::run(io_, store_->memory_history().note({point}));
        ASSERT_TRUE(noted) << noted.error().chain();
    }
    /// A sweep every 10 s for so long.
    void watch(Seconds length, std::int64_t free_gib = 10) {
        for (Seconds gone{0}; gone < length; gone += fine.step) {
            note(a_point("h1", free_gib));
            clock_->advance(fine.step);
        }
    }
    [[nodiscard]] std::vector<MemoryRow> rows(const MemoryResolution& resolution, const std::string& host = "h1",
                                              int limit = 10'000) {
        auto read =
            ballast::testing::run(io_, store_->memory_history().read({.host = HostId(host),
                                                                      .resolution = resolution,
                                                                      .from = Timestamp(),
                                                                      .until = clock_->now() + Seconds(24 * 3'600),
                                                                      .limit = limit}));
        EXPECT_TRUE(read) << (read ? "" : read.error().chain());
        return read ? *std::move(read) : std::vector<MemoryRow>();
    }
    [[nodiscard]] std::int64_t count(const std::string& condition) {
        const auto number = std::make_shared<std::int64_t>(0);
        EXPECT_TRUE(raw([=](Connection& connection) {
            *number = connection.integer("SELECT count(*) FROM memory_history WHERE " + condition);
        }));
        return *number;
    }
};

TEST_F(MemoryHistoryTest, IsReadBackAsItWasNoted) {
    MemoryPoint point = a_point("h1", 10, 0.000'25, 1);
    point.unmet = mebibytes(300);
    point.figures.ballooned = mebibytes(1234);
    note(point);
    clock_->advance(fine.step);
    note(point);
    const auto read = rows(fine);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].at, at_second(0));
    EXPECT_EQ(read[0].figures, point.figures);
    EXPECT_EQ(read[0].most_unmet, mebibytes(300));
    EXPECT_NEAR(read[0].risk, 0.000'25, 1e-9);
    EXPECT_EQ(read[0].level, 1);
    EXPECT_EQ(read[0].vms, 3);
}

TEST_F(MemoryHistoryTest, MakesMinutesAndTenMinutesOfWhatIsOver) {
    watch(Seconds(300), 10);
    watch(Seconds(310), 20);
    EXPECT_THAT(rows(minute), SizeIs(10));
    const auto read = rows(ten_minutes);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].figures.free, gibibytes(15));
    EXPECT_EQ(read[0].least_free, gibibytes(10));
    EXPECT_EQ(read[0].watched, Seconds(600));
}

TEST_F(MemoryHistoryTest, WritesOncePerTenSecondsWhateverTheNumberOfSweepsAndMakesNoEvent) {
    const auto seq = now().seq;
    for (int i = 0; i < 50; ++i) note(a_point("h" + std::to_string(i), 10));
    EXPECT_EQ(count("1"), 0) << "nothing is over yet";
    clock_->advance(fine.step);
    note(a_point("h1", 10));
    EXPECT_EQ(count("1"), 50);
    EXPECT_EQ(now().seq, seq);
}

TEST_F(MemoryHistoryTest, ARestartLosesTheOpenTenSecondsAndNothingElse) {
    watch(Seconds(35));  // 40 s: the last ten are open
    reopen();
    watch(Seconds(40));
    const auto read = rows(minute);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].at, at_second(0));
    EXPECT_EQ(read[0].watched, Seconds(50)) << "the ten seconds that were open are missing, the others are there";
}

TEST_F(MemoryHistoryTest, AMinuteThatEndsWhileNobodyWatchesIsMadeLater) {
    watch(Seconds(50));
    clock_->advance(Seconds(3'010));
    reopen();
    watch(Seconds(20));
    const auto read = rows(minute);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].at, at_second(0));
    EXPECT_EQ(read[0].watched, Seconds(40));
    EXPECT_THAT(rows(fine), SizeIs(5)) << "the gap has no rows";
}

TEST_F(MemoryHistoryTest, KeepsTenSecondsForAnHourMinutesForADayAndTenMinutesForAMonth) {
    watch(Seconds(3'900));
    EXPECT_EQ(count("resolution = 10"), 361) << "an hour, and the round itself";
    EXPECT_EQ(count("resolution = 60"), 64);
    clock_->advance(Seconds(24 * 3'600));
    watch(Seconds(200));
    EXPECT_EQ(rows(minute).front().at, at_second(24 * 3'600 + 3'900));
    EXPECT_EQ(count("resolution = 60"), 3);
    EXPECT_EQ(rows(ten_minutes).front().at, at_second(0));
    clock_->advance(Seconds(31 * 24 * 3'600));
    watch(Seconds(1'300));
    EXPECT_GT(rows(ten_minutes).front().at, clock_->now() - ten_minutes.kept - ten_minutes.step);
}

TEST_F(MemoryHistoryTest, AClockThatIsSetBackLeavesNoRowsOfTimesToCome) {
    set_clock(at_second(36'000));
    watch(Seconds(600), 10);
    set_clock(at_second(6'000));
    watch(Seconds(600), 20);
    EXPECT_EQ(count(fmt::format("at > {}", 1'800'000'000 + 6'600)), 0);
    for (const auto& row : rows(fine)) EXPECT_EQ(row.figures.free, gibibytes(20));
    EXPECT_THAT(rows(minute), SizeIs(9));
}

TEST_F(MemoryHistoryTest, AHostThatIsGoneKeepsItsPastUntilThatIsTooOld) {
    note(a_point("gone", 10));
    watch(Seconds(100));
    EXPECT_THAT(rows(fine, "gone"), SizeIs(1));
    watch(Seconds(3'700));
    EXPECT_THAT(rows(fine, "gone"), IsEmpty());
    EXPECT_THAT(rows(minute, "gone"), SizeIs(1));
}

TEST_F(MemoryHistoryTest, GivesTheNewestOldestFirst) {
    watch(Seconds(100));
    const auto read = rows(fine, "h1", 3);
    ASSERT_THAT(read, SizeIs(3));
    EXPECT_EQ(read[0].at, at_second(60));
    EXPECT_EQ(read[2].at, at_second(80));
    const auto some = ballast::testing::run(
        io_, store_->memory_history().read({.host = HostId("h1"), .from = at_second(20), .until = at_second(40)}));
    ASSERT_TRUE(some);
    ASSERT_THAT(*some, SizeIs(2));
    EXPECT_EQ(some->front().at, at_second(20));
}

}  // namespace
}  // namespace ballast::store
