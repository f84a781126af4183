// The danger ladder: up at once, down step by step, and what each level asks for.
#include "memory/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using test::noon;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Bytes reserve = gibibytes(10);

HostMemory with_free(Bytes free) {
    HostMemory host;
    host.total = gibibytes(100);
    host.free = free;
    return host;
}

/// Climbs with so much free, ten seconds later.
class Climb {
  public:
    LadderStep to(const HostMemory& host, int seconds = 10, bool may_suspend = true) {
        at_ += Seconds(seconds);
        const LadderStep step = climbed(memo_, host, reserve, may_suspend, at_);
        memo_ = step.memo;
        return step;
    }
    LadderStep to(Bytes free, int seconds = 10) { return to(with_free(free), seconds); }
    [[nodiscard]] Level level() const { return memo_.level; }

  private:
    Timestamp at_ = noon;
    LadderMemo memo_;
};

std::vector<Act> acts_of(const LadderStep& step) {
    std::vector<Act> acts;
    for (const LadderAct& one : step.acts) acts.push_back(one.act);
    return acts;
}

TEST(Ladder, GoesUpAtOnceToWhereItBelongs) {
    Climb climb;
    EXPECT_EQ(climb.to(gibibytes(10)).memo.level, Level::comfortable);
    EXPECT_EQ(climb.to(mebibytes(8100)).memo.level, Level::tight);
    EXPECT_EQ(climb.to(mebibytes(5100)).memo.level, Level::pressed);
    const LadderStep step = climb.to(gibibytes(2));
    EXPECT_EQ(step.memo.level, Level::critical);
    EXPECT_TRUE(step.changed);
    Climb straight;
    EXPECT_EQ(straight.to(Bytes(0)).memo.level, Level::critical);
}

TEST(Ladder, StaysUntilTheHigherThresholdIsPassed) {
    Climb climb;
    climb.to(mebibytes(5100));
    EXPECT_EQ(climb.to(mebibytes(6000), 600).memo.level, Level::pressed);  // would not enter it, but does not leave it
    EXPECT_EQ(climb.to(mebibytes(6700), 600).memo.level, Level::pressed);  // the calm begins
    EXPECT_EQ(climb.to(mebibytes(6700), 30).memo.level, Level::tight);
    EXPECT_EQ(climb.to(mebibytes(9000), 600).memo.level, Level::tight);
}

TEST(Ladder, GoesDownOneStepAtATimeAndOnlyWhenCalm) {
    Climb climb;
    climb.to(gibibytes(1));
    EXPECT_EQ(climb.to(gibibytes(50), 10).memo.level, Level::critical);
    EXPECT_EQ(climb.to(gibibytes(50), 29).memo.level, Level::critical);
    EXPECT_EQ(climb.to(gibibytes(50), 1).memo.level, Level::pressed);
    EXPECT_EQ(climb.to(gibibytes(50), 29).memo.level, Level::pressed);
    EXPECT_EQ(climb.to(gibibytes(50), 1).memo.level, Level::tight);
    EXPECT_EQ(climb.to(gibibytes(50), 30).memo.level, Level::comfortable);
}

TEST(Ladder, ARelapseBeginsTheCalmAnew) {
    Climb climb;
    climb.to(mebibytes(5100));
    climb.to(gibibytes(50), 10);
    climb.to(mebibytes(5100), 15);
    EXPECT_EQ(climb.to(gibibytes(50), 20).memo.level, Level::pressed);
    EXPECT_EQ(climb.to(gibibytes(50), 20).memo.level, Level::pressed);
}

TEST(Ladder, PressureAndSwappingCountWhereTheyAreKnown) {
    HostMemory host = with_free(gibibytes(50));
    host.pressure = 0.09;
    EXPECT_EQ(Climb().to(host).memo.level, Level::comfortable);
    host.pressure = 0.12;
    EXPECT_EQ(Climb().to(host).memo.level, Level::pressed);
    EXPECT_THAT(Climb().to(host).why, HasSubstr("pressure 12 %"));
    host.pressure = 0.0;
    host.swap_in = BytesPerSecond(mebibytes(20).count());
    EXPECT_EQ(Climb().to(host).memo.level, Level::critical);
}

TEST(Ladder, EachLevelAddsItsActsWithTheReason) {
    EXPECT_THAT(Climb().to(gibibytes(10)).acts, IsEmpty());
    EXPECT_THAT(acts_of(Climb().to(gibibytes(7))), ElementsAre(Act::reclaim_cache, Act::tax_idle));
    EXPECT_THAT(acts_of(Climb().to(gibibytes(4))),
                ElementsAre(Act::reclaim_cache, Act::tax_idle, Act::ask_planner, Act::stop_admitting, Act::squeeze));
    EXPECT_THAT(Climb().to(gibibytes(4)).acts.back().why,
                HasSubstr("pressed: 4 GiB available, 10 GiB are kept in reserve"));
}

TEST(Ladder, SuspendsOnlyAsTheLastResort) {
    const auto suspends = [](const LadderStep& step) { return acts_of(step).back() == Act::suspend_lowest; };
    Climb climb;
    EXPECT_FALSE(suspends(climb.to(gibibytes(1))));
    EXPECT_FALSE(suspends(climb.to(gibibytes(1), 29)));
    EXPECT_TRUE(suspends(climb.to(gibibytes(1), 1)));
    EXPECT_FALSE(suspends(climb.to(with_free(gibibytes(1)), 60, false)));
}

TEST(Ladder, CountsHalfOfThePageCacheAsAvailable) {
    HostMemory host = with_free(gibibytes(4));
    host.cached = gibibytes(12);
    EXPECT_EQ(available_on(host), gibibytes(10));
    EXPECT_EQ(Climb().to(host).memo.level, Level::comfortable);
}

}  // namespace
}  // namespace ballast::memory
