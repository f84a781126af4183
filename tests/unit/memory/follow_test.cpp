// Guests that follow their balloon target, that stick, and that somebody else moves.
#include "memory/follow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using test::noon;
using testing::HasSubstr;

TEST(Follow, OneThatGoesStepByStepIsLeftAtIt) {
    FollowMemo memo = asked({}, gibibytes(4), gibibytes(2), noon);
    for (int minute = 1; minute <= 4; ++minute) {
        memo = watched(memo, gibibytes(4) - mebibytes(512) * minute, noon + Seconds(50 * minute));
        ASSERT_EQ(memo.missed, 0);
    }
    EXPECT_EQ(memo.asked, Bytes(0));
    EXPECT_EQ(memo.settled, gibibytes(2));
}

TEST(Follow, OneThatStaysWhereItIsIsTakenOutAfterThreeMisses) {
    FollowMemo memo = asked({}, gibibytes(4), gibibytes(2), noon);
    Timestamp at = noon;
    for (int i = 0; i < 2; ++i) memo = watched(memo, gibibytes(4), at += Seconds(61));
    EXPECT_FALSE(left_alone(memo, at));
    memo = watched(memo, gibibytes(4), at += Seconds(61));
    EXPECT_TRUE(left_alone(memo, at));
    EXPECT_THAT(memo.why, HasSubstr("sticks at 4 GiB, 2 GiB was asked"));
    EXPECT_TRUE(left_alone(memo, at + Seconds(599)));
    EXPECT_FALSE(left_alone(memo, at + Seconds(600)));
}

TEST(Follow, AskingALittleMoreOrLessDoesNotGiveItMoreTime) {
    FollowMemo memo;
    Timestamp at = noon;
    for (int i = 0; i < 25; ++i) {
        memo = watched(memo, gibibytes(4), at);
        if (!left_alone(memo, at)) memo = asked(memo, gibibytes(4), gibibytes(2) + mebibytes(i), at);
        at += Seconds(10);
    }
    EXPECT_TRUE(left_alone(memo, at));
}

TEST(Follow, AfterItsRestItHasOneMoreChance) {
    FollowMemo memo = asked({}, gibibytes(4), gibibytes(2), noon);
    Timestamp at = noon;
    for (int i = 0; i < 3; ++i) memo = watched(memo, gibibytes(4), at += Seconds(61));
    at += Seconds(601);
    memo = asked(watched(memo, gibibytes(4), at), gibibytes(4), gibibytes(2), at);
    EXPECT_TRUE(memo.why.empty());
    EXPECT_TRUE(left_alone(watched(memo, gibibytes(4), at + Seconds(61)), at + Seconds(61)));
    EXPECT_EQ(watched(memo, gibibytes(2), at + Seconds(30)).missed, 0);
}

TEST(Follow, SomebodyElseWhoMovesItAgainAndAgainIsNoticed) {
    FollowMemo memo = watched({}, gibibytes(4), noon);
    Timestamp at = noon;
    for (const Bytes balloon : {gibibytes(3), gibibytes(2)}) memo = watched(memo, balloon, at += Seconds(60));
    EXPECT_FALSE(left_alone(memo, at));
    memo = watched(memo, gibibytes(1), at += Seconds(60));
    EXPECT_TRUE(left_alone(memo, at + Seconds(3'500)));
    EXPECT_THAT(memo.why, HasSubstr("somebody else"));
}

TEST(Follow, SomebodyElseIsNoticedAlsoWhileATargetIsOpen) {
    FollowMemo memo;
    Timestamp now = noon;
    for (int i = 0; i < 3; ++i) {
        memo = asked(memo, mebibytes(1'000), mebibytes(900), now);
        now += Milliseconds(10'000);
        memo = watched(memo, mebibytes(1'100), now);
    }
    EXPECT_TRUE(left_alone(memo, now));
    EXPECT_THAT(memo.why, HasSubstr("somebody else moves its balloon"));
}

TEST(Follow, AGuestThatTookMemoryBackOnceIsNoMeddling) {
    FollowMemo memo = watched({}, gibibytes(2), noon);
    memo = watched(memo, gibibytes(3), noon + Seconds(10));
    for (int i = 2; i < 9; ++i) memo = watched(memo, gibibytes(3), noon + Seconds(10 * i));
    EXPECT_FALSE(left_alone(memo, noon + Seconds(90)));
    EXPECT_EQ(memo.settled, gibibytes(3));
}

}  // namespace
}  // namespace ballast::memory
