// The memory of VMs over time: rolled up and packed in pure code, kept and dropped by the store. All time is virtual.
#include "daemon/store/vm_memory_history.h"

#include <gmock/gmock.h>

#include "daemon/store/vm_memory_pages.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const MemoryResolution& minute = vm_memory_resolutions[0];
constexpr const MemoryResolution& ten_minutes = vm_memory_resolutions[1];
constexpr Seconds sweep(10);
constexpr Seconds day(24 * 3'600);

VmMemoryPoint a_point(const std::string& vm, std::int64_t balloon_mib, bool lacks = false) {
    return {.vm = VmId(vm),
            .figures = {.balloon = mebibytes(balloon_mib),
                        .working_set = mebibytes(700),
                        .page_cache = mebibytes(90),
                        .resident = mebibytes(1'000)},
            .lacks = lacks};
}

Timestamp at_second(std::int64_t second) {
    return Timestamp(Seconds(1'800'000'000 + second));
}

NumberedRow a_row(std::int64_t number, std::int64_t balloon_mib, Seconds watched, Seconds lacked = Seconds(0)) {
    NumberedRow row{.number = number, .row = {}};
    row.row.at = at_second(0);
    row.row.watched = watched;
    row.row.lacked = lacked;
    row.row.figures.balloon = mebibytes(balloon_mib);
    return row;
}

TEST(VmMemoryPages, AreReadAsTheyWerePacked) {
    std::vector<NumberedRow> rows{a_row(108, 1'234, Seconds(60), Seconds(20)), a_row(161, 0, Seconds(600))};
    rows[1].row.believed = false;
    rows[1].row.figures = {mebibytes(16'777'215), mebibytes(65'536), mebibytes(255), mebibytes(256)};
    const std::string record = pack(rows);
    EXPECT_EQ(record.size(), 2 * packed_size);
    const auto read = unpack(2, record, at_second(0));
    ASSERT_THAT(read, SizeIs(2));
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(read[i].number, rows[i].number);
        EXPECT_EQ(read[i].row, rows[i].row);
    }
}

TEST(VmMemoryPages, KeepWholeMebibytesAndNothingBelowOrAboveWhatTheyCan) {
    std::vector<NumberedRow> rows{a_row(0, 0, Seconds(60))};
    rows[0].row.figures = {mebibytes(1) + kibibytes(600), kibibytes(-5'000), gibibytes(40'000), Bytes(1)};
    const auto read = unpack(0, pack(rows), at_second(0));
    EXPECT_EQ(read.at(0).row.figures, (VmMemoryFigures{mebibytes(2), Bytes(0), mebibytes(16'777'215), Bytes(0)}));
}

TEST(VmMemoryPages, ARecordThatWasCutShortGivesWhatIsWholeOfIt) {
    const std::string record = pack(std::vector{a_row(1, 5, Seconds(60)), a_row(2, 6, Seconds(60))});
    const auto read = unpack(0, std::string_view(record).substr(0, record.size() - 1), at_second(0));
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].number, 1);
    EXPECT_THAT(unpack(0, "", at_second(0)), IsEmpty());
}

TEST(VmMemoryRollup, MeansAreWeighedByTheTimeThatWasWatchedAndWhatWasLackedIsSummed) {
    const std::vector<NumberedRow> rows{a_row(7, 1'000, Seconds(50), Seconds(20)), a_row(7, 400, Seconds(10)),
                                        a_row(3, 1, Seconds(60))};
    const auto made = rolled_up(rows, at_second(0));
    ASSERT_THAT(made, SizeIs(2));
    EXPECT_EQ(made[0].number, 3);
    EXPECT_EQ(made[1].row.figures.balloon, mebibytes(900));
    EXPECT_EQ(made[1].row.watched, Seconds(60));
    EXPECT_EQ(made[1].row.lacked, Seconds(20));
}

TEST(VmMemoryRollup, AMinuteIsGivenOnceItIsOverWithTheTimeThatWasWatched) {
    OpenVmRows open;
    EXPECT_THAT(open.note({{a_point("a", 100, true)}}, at_second(1)), IsEmpty());
    EXPECT_THAT(open.note({{a_point("a", 100), a_point("b", 50)}}, at_second(5)), IsEmpty());
    EXPECT_THAT(open.note({{a_point("a", 400)}}, at_second(42)), IsEmpty());
    const auto over = open.note({{a_point("a", 9)}}, at_second(60));
    ASSERT_THAT(over, SizeIs(2));
    EXPECT_EQ(over[0].first, VmId("a"));
    EXPECT_EQ(over[0].second.at, at_second(0));
    EXPECT_EQ(over[0].second.figures.balloon, mebibytes(200));
    EXPECT_EQ(over[0].second.watched, Seconds(20)) << "two sweeps within ten seconds are no longer time";
    EXPECT_EQ(over[0].second.lacked, Seconds(10));
    EXPECT_EQ(over[1].second.watched, Seconds(10));
}

TEST(VmMemoryRollup, AClockThatIsSetBackEndsTheOpenMinuteWhereItWasNoted) {
    OpenVmRows open;
    EXPECT_THAT(open.note({{a_point("a", 100)}}, at_second(600)), IsEmpty());
    const auto over = open.note({{a_point("a", 200)}}, at_second(30));
    ASSERT_THAT(over, SizeIs(1));
    EXPECT_EQ(over[0].second.at, at_second(600));
}

class VmMemoryHistoryTest : public StoreTest {
  protected:
    void SetUp() override {
        set_clock(at_second(0));
        open();
    }
    void set_clock(Timestamp time) { clock_->advance(time - clock_->now()); }
    void note(const std::vector<VmMemoryPoint>& points) {
        const auto noted = ballast::testing::run(io_, store_->vm_memory_history().note(points));
        ASSERT_TRUE(noted) << noted.error().chain();
    }
    /// A sweep every 10 s for so long.
    void watch(Seconds length, std::int64_t balloon_mib = 100) {
        for (Seconds gone{0}; gone < length; gone += sweep) {
            note({a_point("a", balloon_mib)});
            clock_->advance(sweep);
        }
    }
    [[nodiscard]] std::vector<VmMemoryRow> rows(const MemoryResolution& resolution, const std::string& vm = "a",
                                                int limit = 10'000) {
        auto read = ballast::testing::run(io_, store_->vm_memory_history().read({.vm = VmId(vm),
                                                                                 .resolution = resolution,
                                                                                 .from = Timestamp(),
                                                                                 .until = clock_->now() + day,
                                                                                 .limit = limit}));
        EXPECT_TRUE(read) << (read ? "" : read.error().chain());
        return read ? *std::move(read) : std::vector<VmMemoryRow>();
    }
    [[nodiscard]] std::int64_t number(const std::string& sql) {
        const auto found = std::make_shared<std::int64_t>(0);
        EXPECT_TRUE(raw([=](Connection& connection) { *found = connection.integer(sql); }));
        return *found;
    }
};

TEST_F(VmMemoryHistoryTest, IsReadBackAsItWasNotedAndOfThatVmAlone) {
    note({a_point("a", 100), a_point("b", 300, true)});
    clock_->advance(minute.step);
    note({});
    ASSERT_THAT(rows(minute), SizeIs(1));
    EXPECT_EQ(rows(minute)[0].figures, a_point("a", 100).figures);
    EXPECT_EQ(rows(minute)[0].at, at_second(0));
    EXPECT_EQ(rows(minute, "b")[0].figures.balloon, mebibytes(300));
    EXPECT_EQ(rows(minute, "b")[0].lacked, Seconds(10));
    EXPECT_THAT(rows(minute, "nobody"), IsEmpty());
}

TEST_F(VmMemoryHistoryTest, MakesTenMinutesOfWhatIsOver) {
    watch(Seconds(300), 100);
    watch(Seconds(310), 200);
    EXPECT_THAT(rows(minute), SizeIs(10));
    const auto read = rows(ten_minutes);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].figures.balloon, mebibytes(150));
    EXPECT_EQ(read[0].watched, Seconds(600));
}

TEST_F(VmMemoryHistoryTest, WritesOnceAMinuteARecordForEach54VmsAndMakesNoEvent) {
    const auto seq = now().seq;
    std::vector<VmMemoryPoint> points;
    for (int i = 0; i < 200; ++i) points.push_back(a_point("vm" + std::to_string(i), i));
    note(points);
    EXPECT_EQ(number("SELECT count(*) FROM vm_memory_history"), 0) << "nothing is over yet";
    clock_->advance(minute.step);
    note(points);
    EXPECT_EQ(number("SELECT count(*) FROM vm_memory_history"), 4);
    EXPECT_EQ(number("SELECT sum(length(figures)) FROM vm_memory_history"), 200 * 18);
    EXPECT_EQ(rows(minute, "vm137")[0].figures.balloon, mebibytes(137));
    EXPECT_EQ(now().seq, seq);
}

TEST_F(VmMemoryHistoryTest, CostsWhatIsWrittenDown) {
    constexpr int vms = 10 * vms_per_page;
    constexpr int minutes = 100;
    std::vector<VmMemoryPoint> points;
    for (int i = 1; i < vms; ++i) points.push_back(a_point("vm" + std::to_string(i), i));
    const auto watch_all = [&](int times) {
        for (int i = 0; i < times; ++i) {
            note(points);
            clock_->advance(minute.step);
        }
        return 4'096 * number("PRAGMA page_count");
    };
    const std::int64_t before = watch_all(2);
    const double rows = 1.1 * vms * minutes;  // the ten minutes too
    EXPECT_LT(static_cast<double>(watch_all(minutes) - before) / rows, 21) << "bytes of the database for a row";
}

TEST_F(VmMemoryHistoryTest, ARestartLosesTheOpenMinuteAndNothingElse) {
    watch(Seconds(130));
    reopen();
    watch(Seconds(500));
    ASSERT_THAT(rows(ten_minutes), SizeIs(1));
    EXPECT_EQ(rows(ten_minutes)[0].watched, Seconds(590)) << "the ten seconds that were open are missing";
}

TEST_F(VmMemoryHistoryTest, TenMinutesThatEndWhileNobodyWatchesAreMadeLater) {
    watch(Seconds(130));
    clock_->advance(Seconds(3'010));
    reopen();
    watch(Seconds(70));
    const auto read = rows(ten_minutes);
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(read[0].at, at_second(0));
    EXPECT_EQ(read[0].watched, Seconds(120));
}

TEST_F(VmMemoryHistoryTest, KeepsMinutesForADayAndTenMinutesForAMonth) {
    watch(day + Seconds(3'600));
    EXPECT_EQ(number("SELECT count(*) FROM vm_memory_history WHERE resolution = 60"), 1'441) << "and the round itself";
    EXPECT_EQ(rows(ten_minutes).front().at, at_second(0));
    clock_->advance(31 * day);
    watch(Seconds(1'300));
    EXPECT_GT(rows(ten_minutes).front().at, clock_->now() - ten_minutes.kept - ten_minutes.step);
}

TEST_F(VmMemoryHistoryTest, ANumberIsFreeAgainOnceNoRowOfItsVmIsLeft) {
    note({a_point("gone", 100), a_point("a", 100)});
    clock_->advance(20 * day);
    watch(Seconds(70));
    EXPECT_THAT(rows(ten_minutes, "gone"), SizeIs(1));
    EXPECT_EQ(number("SELECT count(*) FROM vm_memory_numbers"), 2);
    clock_->advance(20 * day);
    watch(Seconds(70));
    EXPECT_EQ(number("SELECT count(*) FROM vm_memory_numbers"), 1);
    EXPECT_THAT(rows(ten_minutes, "gone"), IsEmpty());
    EXPECT_THAT(rows(ten_minutes), SizeIs(1));
}

TEST_F(VmMemoryHistoryTest, AClockThatIsSetBackLeavesNoRowsOfTimesToCome) {
    set_clock(at_second(36'000));
    watch(Seconds(1'200), 100);
    set_clock(at_second(6'000));
    watch(Seconds(1'200), 200);
    EXPECT_EQ(number(fmt::format("SELECT count(*) FROM vm_memory_history WHERE at > {}", 1'800'000'000 + 7'200)), 0);
    for (const auto& row : rows(minute)) EXPECT_EQ(row.figures.balloon, mebibytes(200));
}

TEST_F(VmMemoryHistoryTest, GivesTheNewestOldestFirst) {
    watch(Seconds(610));
    const auto read = rows(minute, "a", 3);
    ASSERT_THAT(read, SizeIs(3));
    EXPECT_EQ(read[0].at, at_second(420));
    EXPECT_EQ(read[2].at, at_second(540));
    const auto some = ballast::testing::run(
        io_, store_->vm_memory_history().read({.vm = VmId("a"), .from = at_second(60), .until = at_second(180)}));
    ASSERT_TRUE(some);
    ASSERT_THAT(*some, SizeIs(2));
    EXPECT_EQ(some->front().at, at_second(60));
}

}  // namespace
}  // namespace ballast::store
