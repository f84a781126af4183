#include "scheduler/absorb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::scheduler {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Absorber::HostState a_state(std::int64_t free_memory, std::vector<std::int64_t> guests, std::uint64_t group = 0) {
    Absorber::HostState state{
        .group = group, .takes = true, .counts = true, .free_memory = free_memory, .free_vcpus = 100, .guests = {}};
    for (const auto memory : guests) state.guests.push_back({.memory = memory, .vcpus = 1});
    return state;
}

Absorber three(std::vector<std::int64_t> free, std::vector<std::vector<std::int64_t>> guests) {
    Absorber absorber;
    for (std::size_t i = 0; i < free.size(); ++i)
        absorber.set(static_cast<Absorber::Index>(i), a_state(free[i], guests[i]));
    return absorber;
}

TEST(Absorber, AHostIsAbsorbedWhereItsVmsFindRoomOnTheOthersTogether) {
    auto absorber = three({0, 3, 4}, {{4, 3}, {1}, {}});
    EXPECT_TRUE(absorber.absorbs(0));
    absorber.set(2, a_state(3, {}));
    EXPECT_FALSE(absorber.absorbs(0)) << "there is room for 3 and 3, not for 4";
    EXPECT_THAT(absorber.exposed(), ElementsAre(0));
    absorber.set(2, a_state(4, {}));
    EXPECT_THAT(absorber.exposed(), IsEmpty()) << "room that is freed counts at once";
}

TEST(Absorber, FindsThePackingThatFirstFitMisses) {
    // Largest first on the first that fits: 4 to the host with 6, then 3 and 3 find no room together.
    auto absorber = three({0, 6, 4}, {{4, 3, 3}, {}, {}});
    EXPECT_TRUE(absorber.absorbs(0)) << "3 and 3 go to the host with 6, 4 to the one with 4";
}

TEST(Absorber, RefusesTheGuestThatTakesTheRoomOfAnotherHostsVms) {
    auto absorber = three({0, 4, 4}, {{4}, {}, {}});
    EXPECT_FALSE(absorber.exposed_by(1, {.memory = 4, .vcpus = 1}).has_value())
        << "the third host has room for both in turn";
    absorber.set(1, a_state(0, {4}));
    EXPECT_THAT(absorber.exposed_by(2, {.memory = 1, .vcpus = 1}), testing::Optional(testing::Le(1U)));
}

TEST(Absorber, RefusesTheGuestThatWouldFindNoPlaceIfItsOwnHostFailed) {
    auto absorber = three({10, 2}, {{}, {}});
    EXPECT_EQ(absorber.exposed_by(0, {.memory = 3, .vcpus = 1}), 0U);
    EXPECT_FALSE(absorber.exposed_by(0, {.memory = 2, .vcpus = 1}).has_value());
}

TEST(Absorber, AHostThatWasExposedBeforeStandsInNobodysWay) {
    auto absorber = three({5, 5, 5}, {{20}, {}, {}});
    EXPECT_THAT(absorber.exposed(), ElementsAre(0));
    EXPECT_FALSE(absorber.exposed_by(1, {.memory = 2, .vcpus = 1}).has_value());
    EXPECT_EQ(absorber.exposed_by(0, {.memory = 2, .vcpus = 1}), 0U);
}

TEST(Absorber, HostsOfAnotherGroupAbsorbNothing) {
    Absorber absorber;
    absorber.set(0, a_state(9, {1}, 7));
    absorber.set(1, a_state(9, {}, 8));
    EXPECT_FALSE(absorber.absorbs(0));
    absorber.set(1, a_state(9, {}, 7));
    EXPECT_TRUE(absorber.absorbs(0)) << "it has joined the group";
    absorber.set(1, a_state(9, {}, 8));
    EXPECT_FALSE(absorber.absorbs(0)) << "and left it";
}

TEST(Absorber, VmsThatKeepApartDoNotMeetOnTheHostThatTakesThem) {
    Absorber absorber;
    auto failed = a_state(0, {2, 2});
    failed.guests[0].apart = 1;
    absorber.set(0, failed);
    auto target = a_state(9, {1});
    target.guests[0].apart = 1;
    absorber.set(1, target);
    EXPECT_FALSE(absorber.absorbs(0));
    absorber.set(2, a_state(2, {}));
    EXPECT_TRUE(absorber.absorbs(0));
    EXPECT_EQ(absorber.exposed_by(2, {.memory = 0, .vcpus = 0, .apart = 1}), 0U) << "then it would meet one there, too";
}

TEST(Absorber, AnswersForNoneAndForOneHost) {
    Absorber absorber;
    EXPECT_THAT(absorber.exposed(), IsEmpty());
    absorber.set(0, a_state(100, {}));
    EXPECT_TRUE(absorber.absorbs(0)) << "nothing runs there";
    EXPECT_EQ(absorber.exposed_by(0, {.memory = 1, .vcpus = 1}), 0U) << "nobody could take it over";
}

TEST(Absorber, StaysQuickWhereAThousandHostsAreFull) {
    Absorber absorber;
    for (Absorber::Index host = 0; host < 1000; ++host) absorber.set(host, a_state(1, {5, 4, 3, 2, 2, 2, 2, 2}));
    EXPECT_EQ(absorber.exposed().size(), 1000U);
}

}  // namespace
}  // namespace ballast::scheduler
