#include "scheduler/fleet/tournament.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::scheduler {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

std::vector<std::size_t> all_in_order(const Tournament& tournament) {
    std::vector<std::size_t> order;
    tournament.visit_best_first([&](std::size_t contestant, Tournament::Key) {
        order.push_back(contestant);
        return Tournament::out + 1;
    });
    return order;
}

TEST(Tournament, CallsEverybodyWhoTakesPartInTheOrderOfTheKeys) {
    Tournament tournament;
    tournament.grow(5);
    tournament.set(0, 3);
    tournament.set(1, 9);
    tournament.set(2, -4);
    tournament.set(4, 5);
    EXPECT_THAT(all_in_order(tournament), ElementsAre(1, 4, 0, 2));
    tournament.set(1, Tournament::out);
    tournament.set(2, 4);
    EXPECT_THAT(all_in_order(tournament), ElementsAre(4, 2, 0));
}

TEST(Tournament, StopsBelowTheKeyThatIsGoodEnoughButCallsAllThatAreEqual) {
    Tournament tournament;
    tournament.grow(8);
    for (std::size_t i = 0; i < 8; ++i) tournament.set(i, i % 2 == 0 ? 7 : 6);
    std::vector<std::size_t> called;
    tournament.visit_best_first([&](std::size_t contestant, Tournament::Key key) {
        called.push_back(contestant);
        return key;
    });
    EXPECT_THAT(called, UnorderedElementsAre(0, 2, 4, 6));
}

TEST(Tournament, KeepsItsKeysWhenItGrows) {
    Tournament tournament;
    EXPECT_TRUE(all_in_order(tournament).empty());
    tournament.grow(1);
    tournament.set(0, 1);
    tournament.grow(300);
    tournament.set(299, 2);
    EXPECT_THAT(all_in_order(tournament), ElementsAre(299, 0));
}

}  // namespace
}  // namespace ballast::scheduler
