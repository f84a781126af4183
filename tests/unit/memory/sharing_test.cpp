// What groups of alike VMs save, learned from the host's one counter.
#include "memory/sharing.h"

#include <gtest/gtest.h>

namespace ballast::memory {
namespace {

GroupCount members(const std::string& group, int count) {
    return {.group = group, .members = count, .working_set = gibibytes(1)};
}
Bytes truly(int web, int db) {  // 400 MiB and 150 MiB in common
    return mebibytes(400) * std::max(web - 1, 0) + mebibytes(150) * std::max(db - 1, 0);
}
SharingMemo read(SharingMemo memo, int web, int db, int times = 1) {
    for (int i = 0; i < times; ++i)
        memo = learned(std::move(memo), std::vector{members("web", web), members("db", db)}, truly(web, db));
    return memo;
}

TEST(Sharing, CountsGroupsByNameWithATypicalMember) {
    Groups groups;
    groups.add("web", mebibytes(300));
    groups.add("", gibibytes(9));
    groups.add("db", gibibytes(2));
    groups.add("web", mebibytes(500));
    const std::vector<GroupCount> counted = groups.counted();
    ASSERT_EQ(counted.size(), 2U) << "one without a group shares with nobody";
    EXPECT_EQ(counted[0].group, "db");
    EXPECT_EQ(counted[0].working_set, gibibytes(2));
    EXPECT_EQ(counted[1].group, "web");
    EXPECT_EQ(counted[1].members, 2);
    EXPECT_EQ(counted[1].working_set, mebibytes(400));
    EXPECT_TRUE(Groups().counted().empty());
}

TEST(Sharing, ANewGroupHasAWideInterval) {
    const Saving saving = saving_of({}, members("new", 11));
    EXPECT_NEAR(saving.likely / gibibytes(1), 2, 0.01);
    EXPECT_LT(saving.low, saving.likely / 4);
    EXPECT_GT(saving.high, saving.likely * 2);
    EXPECT_FALSE(saving.measured);
    EXPECT_EQ(saving_of({}, members("new", 1)).high, Bytes(0));  // one alone shares with nobody
}

TEST(Sharing, OfAMeasuredGroupItIsRightWithinFivePerCent) {
    SharingMemo memo;
    memo = learned(std::move(memo), std::vector{members("web", 5)}, truly(5, 0));
    const Saving saving = saving_of(memo, members("web", 20));
    EXPECT_NEAR(saving.likely / truly(20, 0), 1, 0.05);
    EXPECT_TRUE(saving.measured);
    EXPECT_LE(saving.low, truly(20, 0));
    EXPECT_GE(saving.high, truly(20, 0));
}

TEST(Sharing, TellsTwoGroupsApartOnceTheirNumbersChange) {
    SharingMemo memo = read({}, 5, 5);
    EXPECT_FALSE(saving_of(memo, members("web", 5)).measured);
    for (int i = 0; i < 4; ++i) memo = read(read(std::move(memo), 9, 3), 3, 9);
    EXPECT_NEAR(saving_of(memo, members("web", 5)).likely / truly(5, 0), 1, 0.05);
    EXPECT_NEAR(saving_of(memo, members("db", 5)).likely / truly(0, 5), 1, 0.08);
    EXPECT_NEAR(saving_of(memo, std::vector{members("web", 4), members("db", 7)}).likely / truly(4, 7), 1, 0.05);
}

TEST(Sharing, ReadingTheSameAgainMakesNothingSurer) {
    const SharingMemo once = read({}, 5, 5);
    const SharingMemo often = read({}, 5, 5, 100);
    EXPECT_EQ(once.groups.at("web").variance, often.groups.at("web").variance);
    EXPECT_NEAR(saving_of(often, std::vector{members("web", 5), members("db", 5)}).likely / truly(5, 5), 1, 0.01);
}

TEST(Sharing, AMoveLosesAtTheSourceAndGainsAtTheTarget) {
    const SharingMemo memo = learned({}, std::vector{members("web", 5)}, truly(5, 0));
    EXPECT_NEAR(sharing_moved(memo, members("web", 5), members("web", 0)).lost.likely / mebibytes(400), 1, 0.05);
    EXPECT_EQ(sharing_moved(memo, members("web", 5), members("web", 0)).gained.likely, Bytes(0));
    EXPECT_EQ(sharing_moved(memo, members("web", 1), members("web", 3)).lost.likely, Bytes(0));
    EXPECT_GT(sharing_moved(memo, members("web", 1), members("web", 3)).gained.likely, mebibytes(380));
}

TEST(Sharing, ACounterOfNothingTeachesThatNothingIsShared) {
    const SharingMemo memo = learned({}, std::vector{members("web", 5)}, Bytes(0));
    EXPECT_LT(saving_of(memo, members("web", 5)).likely, mebibytes(5));
}

}  // namespace
}  // namespace ballast::memory
