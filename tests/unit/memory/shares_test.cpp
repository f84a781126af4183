// Shares, the idle memory tax and limits, against the figures of Waldspurger (OSDI 2002).
#include "memory/shares.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::memory {
namespace {

using testing::ElementsAre;

ShareClaim a_claim(double shares, Bytes active, double tax = 0.75, Bytes least = {}, Bytes most = gibibytes(100)) {
    return {.shares = shares, .active = active, .tax = tax, .least = least, .most = most};
}
double gib(Bytes bytes) {
    return bytes / gibibytes(1);
}

TEST(Shares, AnIdlePageCostsFourTimesAnActiveOneAtATaxOf75Percent) {
    // rho = S / (P (f + k (1 - f))): half idle, k = 4.
    const double ratio = shares_per_byte(a_claim(1000, gibibytes(1)), gibibytes(2));
    EXPECT_NEAR(ratio, 1000.0 / (2.0 * gibibytes(1).count() * (0.5 + 4 * 0.5)), 1e-15);
    EXPECT_TRUE(std::isinf(shares_per_byte(a_claim(1000, gibibytes(1)), Bytes(0))));
}

TEST(Shares, WithoutATaxMemoryGoesByShares) {
    const auto sizes =
        divide(std::vector{a_claim(1000, gibibytes(1), 0), a_claim(3000, gibibytes(1), 0)}, gibibytes(8));
    EXPECT_NEAR(gib(sizes[0]), 2, 1e-6);
    EXPECT_NEAR(gib(sizes[1]), 6, 1e-6);
}

TEST(Shares, OfTwoEqualsTheBusyOneGetsWhatTheIdleOneDoesNotUse) {
    // Waldspurger's figure 7: equal shares, one idle and one busy VM of 256 MB on 360 MB. Untaxed 180 each; at 75 % the
    // idle one falls to a fifth and the busy one has the rest.
    const auto untaxed = divide(
        std::vector{a_claim(1, Bytes(0), 0, {}, mebibytes(256)), a_claim(1, mebibytes(256), 0, {}, mebibytes(256))},
        mebibytes(360));
    EXPECT_NEAR(untaxed[0] / mebibytes(1), 180, 0.01);
    const auto taxed = divide(std::vector{a_claim(1, Bytes(0), 0.75, {}, mebibytes(300)),
                                          a_claim(1, mebibytes(300), 0.75, {}, mebibytes(300))},
                              mebibytes(360));
    EXPECT_NEAR(taxed[0] / mebibytes(1), 72, 0.01);
    EXPECT_NEAR(taxed[1] / mebibytes(1), 288, 0.01);
}

TEST(Shares, BeyondTheLimitsTheRestGoesToTheOthers) {
    const auto sizes = divide(std::vector{a_claim(1000, gibibytes(1), 0, {}, gibibytes(1)),
                                          a_claim(1000, gibibytes(1), 0, gibibytes(6)), a_claim(1000, gibibytes(1), 0)},
                              gibibytes(10));
    EXPECT_NEAR(gib(sizes[0]), 1, 1e-6);
    EXPECT_NEAR(gib(sizes[1]), 6, 1e-6);
    EXPECT_NEAR(gib(sizes[2]), 3, 1e-6);
}

TEST(Shares, WhereNotEvenTheLeastFitsEachGetsItsLeast) {
    EXPECT_THAT(divide(std::vector{a_claim(1, {}, 0, gibibytes(3)), a_claim(9, {}, 0, gibibytes(2))}, gibibytes(4)),
                ElementsAre(gibibytes(3), gibibytes(2)));
}

TEST(Shares, WhereAllFitsEachGetsItsMost) {
    EXPECT_THAT(
        divide(std::vector{a_claim(1, {}, 0.9, {}, gibibytes(3)), a_claim(9, {}, 0, {}, gibibytes(2))}, gibibytes(64)),
        ElementsAre(gibibytes(3), gibibytes(2)));
}

TEST(Shares, OddClaimsDivideAnyway) {
    EXPECT_TRUE(divide({}, gibibytes(1)).empty());
    const auto sizes =
        divide(std::vector{a_claim(0, Bytes(0), 1.0), a_claim(-5, Bytes(-7), -1, Bytes(-1))}, gibibytes(1));
    EXPECT_LE(sizes[0] + sizes[1], gibibytes(1));
    EXPECT_THAT(divide(std::vector{a_claim(1, {}, 0, gibibytes(2), gibibytes(1))}, gibibytes(9)),
                ElementsAre(gibibytes(2)));  // most below least
}

}  // namespace
}  // namespace ballast::memory
