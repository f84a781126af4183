// Time and ids come from outside, and the same seed gives the same ids.
#include "core/clock.h"

#include <set>

#include <gtest/gtest.h>

#include "core/ids.h"

namespace ballast {
namespace {

TEST(ManualClock, StandsStillUntilItIsAdvanced) {
    ManualClock clock;
    const Timestamp start = clock.now();
    EXPECT_EQ(clock.now(), start);
    clock.advance(Milliseconds(1500));
    EXPECT_EQ(clock.now() - start, Milliseconds(1500));
}

TEST(SeededIds, GiveTheSameForTheSameSeed) {
    SeededIds one(7);
    SeededIds other(7);
    SeededIds third(8);
    const std::string first = one.uuid();
    EXPECT_EQ(first, other.uuid());
    EXPECT_NE(first, third.uuid());
}

TEST(SeededIds, AreCanonicalVersion4Uuids) {
    SeededIds ids(1);
    for (int i = 0; i < 100; ++i) {
        const std::string uuid = ids.uuid();
        EXPECT_EQ(parse_uuid(uuid).value_or("not a UUID"), uuid);
        EXPECT_EQ(uuid[14], '4');
        EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
    }
}

TEST(SeededIds, SortByTimeAlsoWithinOneMillisecondAndWhenTheClockGoesBack) {
    SeededIds ids(1);
    ManualClock clock;
    std::string last;
    for (int i = 0; i < 200; ++i) {
        const std::string id = ids.sortable(clock.now());
        EXPECT_EQ(id.size(), 16U);
        EXPECT_LT(last, id);
        last = id;
        if (i % 3 == 0) clock.advance(Milliseconds(i % 2 == 0 ? 5 : -3));
    }
}

TEST(RandomIds, DifferFromRunToRun) {
    EXPECT_NE(make_random_ids()->uuid(), make_random_ids()->uuid());
}

}  // namespace
}  // namespace ballast
