// The rules of MOM and Proxmox that the benchmark plays against: each figure of theirs once.
#include "bench/memory/peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::bench {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr double mib = 1024.0 * 1024.0;
constexpr double gib = 1024 * mib;

PeerGuest a_guest(double balloon, double unused, double minimum = 0.5 * gib) {
    return {.balloon = balloon, .minimum = minimum, .maximum = 4 * gib, .unused = unused};
}

TEST(Mom, GrowsEveryGuestByFivePerCentWithoutPressure) {
    EXPECT_THAT(mom_targets(std::vector{a_guest(2 * gib, 0), a_guest(3.9 * gib, 3 * gib)}, {100 * gib, 20 * gib}),
                ElementsAre(DoubleNear(2.1 * gib, 1), DoubleNear(4 * gib, 1)));
}

TEST(Mom, ShrinksByFivePerCentUnderPressureDownToUseAndWhatTheGuestKeepsFree) {
    const PeerHost host{100 * gib, 10 * gib};  // half of the threshold: guests keep 10 % free
    EXPECT_THAT(
        mom_targets(std::vector{a_guest(4 * gib, 3 * gib), a_guest(4 * gib, 0.5 * gib), a_guest(2 * gib, 0.2 * gib)},
                    host),
        ElementsAre(DoubleNear(3.8 * gib, 1), DoubleNear(3.9 * gib, 1), DoubleNear(2 * gib, 1)));
}

TEST(Mom, ForcesGuestsToSwapWhenCritical) {
    EXPECT_THAT(mom_targets(std::vector{a_guest(4 * gib, 0)}, {100 * gib, 2 * gib}),
                ElementsAre(DoubleNear(4 * gib * 0.97, 1)));  // 3 % below what it uses
}

TEST(Mom, KsmScansMoreUnderPressureWithinItsBounds) {
    const PeerHost pressed{64 * gib, 5 * gib};
    PeerKsm ksm;
    for (int i = 0; i < 10; ++i) ksm = mom_ksm(ksm, pressed, 10 * gib);
    EXPECT_EQ(ksm.pages_to_scan, 1250);
    EXPECT_EQ(ksm.sleep_ms, 10);
    ksm = mom_ksm(ksm, {64 * gib, 20 * gib}, 60 * gib);
    EXPECT_EQ(ksm.pages_to_scan, 1200);
    EXPECT_FALSE(mom_ksm(ksm, {64 * gib, 20 * gib}, 10 * gib).run);
}

TEST(Proxmox, ChangesNoGuestByMoreThanHundredMebibytes) {
    EXPECT_THAT(proxmox_targets(std::vector{a_guest(4 * gib, 3 * gib), a_guest(4 * gib, 3 * gib)}, {20 * gib, 2 * gib}),
                ElementsAre(DoubleNear(4 * gib - 100 * mib, 1), DoubleNear(4 * gib - 100 * mib, 1)));
}

TEST(Proxmox, ShrinksThoseThatHaveMemoryFreeAndGrowsThoseThatHaveNot) {
    const std::vector guests{a_guest(2 * gib, 1.5 * gib), a_guest(2 * gib, 0.05 * gib)};
    EXPECT_THAT(proxmox_targets(guests, {20 * gib, 3.95 * gib}),
                ElementsAre(DoubleNear(2 * gib - 0.05 * gib, mib), DoubleNear(2 * gib, 1)));
    EXPECT_THAT(proxmox_targets(guests, {20 * gib, 4.05 * gib}),
                ElementsAre(DoubleNear(2 * gib, 1), DoubleNear(2 * gib + 0.05 * gib, mib)));
}

TEST(Proxmox, DoesNothingNearItsTargetNorToAGuestThatIsMovedOrHasNoShares) {
    EXPECT_THAT(proxmox_targets(std::vector{a_guest(2 * gib, gib)}, {20 * gib, 4 * gib - 9 * mib}),
                ElementsAre(DoubleNear(2 * gib, 1)));
    auto moved = a_guest(2 * gib, gib);
    moved.migrating = true;
    auto without = a_guest(2 * gib, gib);
    without.shares = 0;
    EXPECT_THAT(proxmox_targets(std::vector{moved, without}, {20 * gib, gib}),
                ElementsAre(DoubleNear(2 * gib, 1), DoubleNear(2 * gib, 1)));
}

TEST(Proxmox, SharesDivideWhatIsAboveTheMinimums) {
    auto rich = a_guest(1 * gib, 0);
    rich.shares = 3000;
    const auto targets = proxmox_targets(std::vector{a_guest(1 * gib, 0), rich}, {20 * gib, 4 * gib + 50 * mib});
    EXPECT_NEAR(targets[0], gib, 1);  // above its part already
    EXPECT_NEAR(targets[1], gib + 50 * mib, mib);
}

}  // namespace
}  // namespace ballast::bench
