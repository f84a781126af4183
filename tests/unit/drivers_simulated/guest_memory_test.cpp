// The pure parts of memory in simulated hosts: what a guest does with what it has, and what the scanner merges.
#include "drivers/simulated/guest_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/simulated/merging.h"

namespace ballast::testing {
namespace {

namespace sim = drivers::simulated;
using namespace std::chrono_literals;

constexpr double mib = 1024.0 * 1024.0;

sim::Instant at(std::chrono::seconds time) {
    return sim::Instant(time);
}

class Guest : public ::testing::Test {
  protected:
    Guest() {
        guest.maximum = guest.balloon = guest.target = 4096 * mib;
        load.cache = mebibytes(1'000);
    }
    /// Until it rests; how many seconds that took.
    int rest(double wanted, int limit = 10'000) {
        for (int second = 0; second < limit; ++second)
            if (!sim::advance(guest, load, wanted, 1, rules)) return second;
        return limit;
    }
    sim::GuestMemory guest;
    sim::MemoryLoad load;
    sim::GuestRules rules;
};

TEST_F(Guest, FillsItsMemoryAsFastAsItsRatesAllow) {
    EXPECT_EQ(rest(600 * mib), 24) << "1,000 MiB of cache at 40 MiB/s, the last of them in the step that rests";
    EXPECT_NEAR(guest.anonymous, 600 * mib, mib);
    EXPECT_NEAR(guest.cache, 1'000 * mib, mib);
    EXPECT_NEAR(guest.held, 1'600 * mib, mib);
    EXPECT_EQ(guest.swap_in, 0);
    EXPECT_EQ(guest.speed, 1);
}

TEST_F(Guest, WithoutALimitFillsAllThatItHasWithPageCache) {
    load.cache.reset();
    rest(600 * mib);
    EXPECT_NEAR(guest.cache, 4096 * 0.99 * mib - 600 * mib, mib);
}

TEST_F(Guest, GivesUnusedPagesFirstThenTheCacheThenItsPrograms) {
    rest(1'000 * mib);
    guest.target = 2'500 * mib;
    EXPECT_EQ(rest(1'000 * mib), 7) << "1,596 MiB at 200 MiB/s";
    EXPECT_NEAR(guest.cache, 1'000 * mib, mib) << "unused pages were enough";
    guest.target = 1'500 * mib;
    rest(1'000 * mib);
    EXPECT_NEAR(guest.anonymous, 1'000 * mib, mib);
    EXPECT_NEAR(guest.cache, 485 * mib, mib);
    EXPECT_EQ(guest.swapped, 0);
    guest.target = 700 * mib;
    rest(1'000 * mib);
    EXPECT_NEAR(guest.balloon, 700 * mib, mib);
    EXPECT_NEAR(guest.swapped, 300 * mib, mib);
    EXPECT_LT(guest.cache, mib);
}

TEST_F(Guest, FaultsTheMoreAndWorksTheLessTheMoreItLacks) {
    const auto lacking = [this](double missing) {
        guest.target = (1'000 - missing) * mib;
        rest(1'000 * mib);
        const double before = guest.major_faults;
        sim::advance(guest, load, 1'000 * mib, 1, rules);
        return std::pair(guest.major_faults - before, guest.speed);
    };
    const auto [none, whole] = lacking(0);
    const auto [few, slower] = lacking(100);
    const auto [more, slow] = lacking(400);
    EXPECT_EQ(none, 0);
    EXPECT_EQ(whole, 1);
    EXPECT_NEAR(few, 10 * mib / 4096, 50);
    EXPECT_NEAR(more, 40 * mib / 4096, 50);
    EXPECT_LT(slow, slower);
    EXPECT_LT(slower, 0.9);
}

TEST_F(Guest, SwapsBackInAtTheSpeedOfItsDiskOnceItHasTheMemory) {
    guest.target = 700 * mib;
    rest(1'000 * mib);
    guest.target = 4096 * mib;
    int seconds = 0;
    while (guest.swapped > mib && seconds < 100) sim::advance(guest, load, 1'000 * mib, 1, rules), ++seconds;
    EXPECT_EQ(seconds, 5) << "300 MiB at 60 MiB/s";
}

TEST_F(Guest, KeepsTheHostsPagesUnlessItReportsThem) {
    rules.reports = false;
    rest(2'000 * mib);
    rest(500 * mib);
    EXPECT_NEAR(guest.held, 3'000 * mib, mib) << "what was touched once";
    guest.target = 1'600 * mib;
    rest(500 * mib);
    EXPECT_NEAR(guest.held, 1'600 * mib, mib) << "a balloon gives it back";
    rules.reports = true;
    sim::advance(guest, load, 500 * mib, 1, rules);
    EXPECT_NEAR(guest.held, 1'500 * mib, mib);
}

TEST_F(Guest, ThatDoesNotFollowStaysAsItIs) {
    rest(500 * mib);
    rules.follows = false;
    guest.target = 1'000 * mib;
    EXPECT_FALSE(sim::advance(guest, load, 500 * mib, 1, rules));
    EXPECT_EQ(guest.balloon, 4096 * mib);
}

TEST_F(Guest, DeflatesByItselfRatherThanRunOutOfMemory) {
    load.swap = mebibytes(100);
    guest.target = 700 * mib;
    rest(600 * mib);
    rest(1'000 * mib);
    EXPECT_NEAR(guest.balloon, 900 * mib, mib) << "100 MiB are on its swap device";
    EXPECT_EQ(guest.target, 700 * mib);
    EXPECT_EQ(guest.oom_kills, 0);
}

TEST_F(Guest, WithoutAutodeflateEndsProgramsOnceAndStartsThemAgainWhenThereIsRoom) {
    rules.autodeflate = false;
    load.swap = mebibytes(100);
    guest.target = 700 * mib;
    rest(600 * mib);
    rest(1'000 * mib);
    EXPECT_EQ(guest.oom_kills, 1);
    EXPECT_NEAR(guest.dropped, 200 * mib, mib);
    guest.target = 4096 * mib;
    rest(1'000 * mib);
    EXPECT_EQ(guest.dropped, 0);
    EXPECT_NEAR(guest.anonymous, 1'000 * mib, mib);
}

TEST(WantedMemory, OfAStepChangesAtItsMomentForItsTimeAndAgain) {
    sim::MemoryLoad load{.pattern = sim::MemoryPattern::step, .wants = mebibytes(100)};
    load.step_to = mebibytes(900);
    load.step_at = at(100s);
    EXPECT_EQ(sim::wanted_memory(load, at(99s)), 100 * mib);
    EXPECT_EQ(sim::wanted_memory(load, at(100s)), 900 * mib);
    EXPECT_EQ(sim::next_change(load, at(0s)), at(100s));
    EXPECT_EQ(sim::next_change(load, at(100s)), sim::Instant::max());
    load.step_for = 50s;
    load.step_every = 200s;
    EXPECT_EQ(sim::wanted_memory(load, at(150s)), 100 * mib);
    EXPECT_EQ(sim::wanted_memory(load, at(349s)), 900 * mib);
    EXPECT_EQ(sim::next_change(load, at(100s)), at(150s));
    EXPECT_EQ(sim::next_change(load, at(150s)), at(300s));
}

TEST(WantedMemory, OfADayAndOfASawToothGoesAsFarAsItsSwing) {
    sim::MemoryLoad load{.pattern = sim::MemoryPattern::diurnal, .wants = mebibytes(500), .swing = mebibytes(300)};
    load.peak_hour = 15;
    EXPECT_NEAR(sim::wanted_memory(load, at(15h)), 800 * mib, 1);
    EXPECT_NEAR(sim::wanted_memory(load, at(3h)), 200 * mib, 1);
    EXPECT_EQ(sim::next_change(load, at(3h)), at(3h)) << "all the time";
    load.pattern = sim::MemoryPattern::sawtooth;
    load.period = 100s;
    EXPECT_NEAR(sim::wanted_memory(load, at(0s)), 200 * mib, 1);
    EXPECT_NEAR(sim::wanted_memory(load, at(75s)), 650 * mib, 1);
}

TEST(Scanner, GoesAsFastAsItsSettingsSay) {
    sim::Scanner scanner;
    scanner.settings = {.pages_to_scan = 1'000, .sleep_ms = 20};
    EXPECT_NEAR(scanner.rate() / 4096, 40'000, 1) << "1,000 pages in 20 ms and 5 ms of work";
    scanner.scan(scanner.rate() * 100, 250);
    EXPECT_NEAR(scanner.passes, 2.5, 1e-9);
    scanner.settings.pages_to_scan = 0;
    EXPECT_EQ(scanner.rate(), 0);
    scanner.settings.pages_to_scan = 1'000;
    scanner.runs = false;
    EXPECT_EQ(scanner.rate(), 0);
}

TEST(EqualPages, AreMergedInTheSecondPassAfterTheyCame) {
    sim::EqualPages pages;
    pages.resize(100 * mib, 0.25);
    EXPECT_EQ(pages.merged(1.25), 0) << "checksums only";
    EXPECT_NEAR(pages.merged(1.75), 50 * mib, 1);
    EXPECT_NEAR(pages.merged(2.25), 100 * mib, 1);
    pages.ripen(2.25);
    EXPECT_FALSE(pages.ripens());
}

TEST(EqualPages, ThatAreWrittenToWaitForTwoPassesAgain) {
    sim::EqualPages pages;
    pages.resize(100 * mib, 0);
    pages.ripen(2);
    pages.unshare(30 * mib, 2);
    EXPECT_NEAR(pages.merged(2), 70 * mib, 1);
    EXPECT_NEAR(pages.all(), 100 * mib, 1);
    EXPECT_NEAR(pages.merged(4), 100 * mib, 1);
}

TEST(EqualPages, ThatGoAreTheYoungest) {
    sim::EqualPages pages;
    pages.resize(60 * mib, 0);
    pages.resize(100 * mib, 1);
    pages.resize(70 * mib, 1.5);
    EXPECT_NEAR(pages.merged(2), 60 * mib, 1);
    EXPECT_NEAR(pages.merged(3), 70 * mib, 1);
    pages.ripen(3);
    pages.resize(10 * mib, 3);
    EXPECT_NEAR(pages.merged(3), 10 * mib, 1);
}

TEST(Merged, CountsOneCopyOfWhatSeveralHoldAndTheRestAsSaved) {
    sim::Merged merged;
    merged.add("debian", 100);
    merged.add("debian", 400);
    merged.add("debian", 300);
    merged.add("alone", 1'000);
    EXPECT_EQ(merged.kept(), 300) << "the last 100 of the largest are nobody else's";
    EXPECT_EQ(merged.saved(), 400);
}

}  // namespace
}  // namespace ballast::testing
