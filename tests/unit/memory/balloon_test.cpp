// Balloon targets: entitlements, bounded steps, giving back in the order of need, and what is never done.
#include "memory/balloon.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

BalloonVm a_vm(const std::string& name, Bytes balloon, Bytes working_set, Bytes minimum = mebibytes(512)) {
    return {.id = VmId(name),
            .balloon = balloon,
            .maximum = gibibytes(4),
            .minimum = minimum,
            .working_set = working_set,
            .programs = working_set,
            .policy = &policy_of(MemoryPolicy::balanced)};
}
const BalloonMove* move_of(const BalloonPlan& plan, const std::string& name) {
    const auto at = std::ranges::find(plan.moves, VmId(name), &BalloonMove::vm);
    return at != plan.moves.end() ? &*at : nullptr;
}
/// Nobody else can fill it.
Gift surely(Bytes bytes) {
    return {.sure = bytes, .likely = bytes, .lent = bytes};
}
Bytes sum(const std::vector<Bytes>& sizes) {
    Bytes all;
    for (const Bytes size : sizes) all += size;
    return all;
}

TEST(Balloon, WhereAllMaximumsFitNobodyIsSqueezed) {
    const std::vector vms{a_vm("a", gibibytes(4), mebibytes(100)), a_vm("b", gibibytes(4), mebibytes(100))};
    EXPECT_THAT(plan_balloons(vms, {.budget = gibibytes(8), .may_give = surely(gibibytes(6))}).moves, IsEmpty());
}

TEST(Balloon, EntitlementsFitTheBudgetAndTheIdlePayFirst) {
    const std::vector vms{a_vm("idle", gibibytes(4), mebibytes(200)), a_vm("busy", gibibytes(4), gibibytes(3))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(5), .may_give = surely(gibibytes(1))});
    EXPECT_LE(sum(plan.entitled), gibibytes(5));
    EXPECT_GT(plan.entitled[1], gibibytes(3) + mebibytes(300));
    EXPECT_EQ(move_of(plan, "idle")->cause, BalloonCause::idle);
}

TEST(Balloon, InflatesInBoundedSteps) {
    const std::vector vms{a_vm("a", gibibytes(4), mebibytes(200)), a_vm("b", gibibytes(4), mebibytes(200))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(2), .may_give = surely(gibibytes(1))});
    ASSERT_EQ(plan.moves.size(), 2U);
    for (const BalloonMove& move : plan.moves) EXPECT_EQ((move.from - move.to).count(), gibibytes(4).count() / 20);
}

TEST(Balloon, DoesNotMoveWithinTheDeadBand) {
    const std::vector vms{a_vm("a", gibibytes(4), mebibytes(200)), a_vm("b", gibibytes(4), mebibytes(200))};
    EXPECT_THAT(plan_balloons(vms, {.budget = gibibytes(8) - mebibytes(60), .may_give = surely(gibibytes(1))}).moves,
                IsEmpty());
    EXPECT_FALSE(
        plan_balloons(vms, {.budget = gibibytes(8) - mebibytes(100), .may_give = surely(gibibytes(1))}).moves.empty());
}

TEST(Balloon, GivesAtOnceWhatAGuestNeeds) {
    const std::vector vms{a_vm("a", gibibytes(1), gibibytes(3)), a_vm("b", gibibytes(1), mebibytes(200))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(5), .may_give = surely(gibibytes(3))});
    ASSERT_NE(move_of(plan, "a"), nullptr);
    EXPECT_GE(move_of(plan, "a")->to, gibibytes(3) + mebibytes(307));
    EXPECT_EQ(move_of(plan, "a")->cause, BalloonCause::need);
    EXPECT_THAT(move_of(plan, "a")->why, HasSubstr("needs 3.3 GiB and has 1 GiB"));
    EXPECT_EQ(plan.unmet, Bytes(0));
}

TEST(Balloon, GivesNoMoreThanIsPhysicallyFreeAndThoseThatLackItFirst) {
    auto faulting = a_vm("z", gibibytes(1), mebibytes(1300));
    faulting.lacks = true;
    const std::vector vms{a_vm("a", gibibytes(1), gibibytes(2)), faulting, a_vm("c", gibibytes(1), gibibytes(3))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(8), .may_give = surely(gibibytes(1))});
    ASSERT_FALSE(plan.moves.empty());
    EXPECT_EQ(plan.moves[0].vm, VmId("z"));  // it lacks memory now
    EXPECT_EQ(plan.moves[1].vm, VmId("c"));  // then by what is missing
    Bytes given;
    for (const BalloonMove& move : plan.moves) given += saturating_sub(move.to, move.from);
    EXPECT_EQ(given, gibibytes(1));
    EXPECT_GT(plan.unmet, gibibytes(2));
    EXPECT_THAT(plan_balloons(vms, {.budget = gibibytes(8), .may_give = surely(Bytes(-5))}).moves, IsEmpty());
}

TEST(Balloon, WhileSomebodyWaitsTheIdleAreSqueezedInLargerSteps) {
    const std::vector vms{a_vm("idle", gibibytes(4), mebibytes(200)), a_vm("waits", gibibytes(1), gibibytes(3))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(5), .may_give = surely(mebibytes(100))});
    EXPECT_EQ(move_of(plan, "idle")->from - move_of(plan, "idle")->to, Bytes(gibibytes(4).count() / 20 * 4));
}

TEST(Balloon, NeverBelowWorkingSetAndMarginOutsideDanger) {
    const std::vector vms{a_vm("a", gibibytes(3), gibibytes(2)), a_vm("b", gibibytes(3), gibibytes(2))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(1), .may_give = surely(Bytes(0))});
    for (const Bytes size : plan.entitled) EXPECT_EQ(size, comfortable_size(vms[0]));
}

TEST(Balloon, InDangerMarginsGoFirstThenWorkingSetsButNeverMinimums) {
    const std::vector vms{a_vm("a", gibibytes(3), gibibytes(2)), a_vm("b", gibibytes(3), gibibytes(2))};
    const auto entitled = [&](Bytes budget) {
        return plan_balloons(vms, {.budget = budget, .may_give = {}, .danger = true}).entitled;
    };
    EXPECT_EQ(entitled(gibibytes(4)), (std::vector{gibibytes(2), gibibytes(2)}));
    EXPECT_LE(sum(entitled(gibibytes(2))), gibibytes(2));
    EXPECT_EQ(entitled(Bytes(0)), (std::vector{mebibytes(512), mebibytes(512)}));
    const std::vector small{a_vm("a", gibibytes(1), gibibytes(2)), a_vm("b", gibibytes(1), gibibytes(2))};
    EXPECT_GT(plan_balloons(small, {.budget = gibibytes(2), .may_give = {}, .danger = true}).unmet, gibibytes(2));
}

TEST(Balloon, InDangerPageCacheGoesBeforeWhatProgramsHold) {
    std::vector vms{a_vm("cache", gibibytes(2), mebibytes(1'800)), a_vm("programs", gibibytes(3), gibibytes(3))};
    vms[0].programs = gibibytes(1);
    const BalloonPlan plan =
        plan_balloons(vms, {.budget = gibibytes(4) + mebibytes(100), .may_give = {}, .danger = true});
    EXPECT_GE(plan.entitled[1], gibibytes(3)) << "it has no cache that could go";
    EXPECT_GE(plan.entitled[0], gibibytes(1));
    EXPECT_LE(sum(plan.entitled), gibibytes(4) + mebibytes(100));
    vms[0].programs = gibibytes(9);  // never more than its working set
    EXPECT_LT(plan_balloons(vms, {.budget = gibibytes(4), .may_give = {}, .danger = true}).entitled[1], gibibytes(3));
}

TEST(Balloon, AMinimumAboveTheMaximumCountsAsTheMaximum) {
    const std::vector vms{a_vm("a", gibibytes(4), mebibytes(100), gibibytes(9)),
                          a_vm("b", gibibytes(4), mebibytes(100))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(5), .may_give = surely(Bytes(0)), .danger = true});
    EXPECT_EQ(plan.entitled[0], gibibytes(4));
    EXPECT_EQ(move_of(plan, "a"), nullptr);
}

TEST(Balloon, ThePoliciesThatDoNotActAheadWaitUntilTheHostIsShort) {
    std::vector vms{a_vm("a", gibibytes(4), mebibytes(200)), a_vm("b", gibibytes(4), mebibytes(200))};
    for (BalloonVm& vm : vms) vm.policy = &policy_of(MemoryPolicy::gentle);
    BalloonTerms terms{.budget = gibibytes(2), .may_give = surely(Bytes(0)), .plenty = true};
    EXPECT_THAT(plan_balloons(vms, terms).moves, IsEmpty());
    terms.plenty = false;
    EXPECT_EQ(plan_balloons(vms, terms).moves.size(), 2U);
}

TEST(Balloon, DoesNotPromiseWhatOthersHaveNotGivenBackYet) {
    const std::vector vms{a_vm("idle", gibibytes(4), mebibytes(100)), a_vm("small", gibibytes(1), mebibytes(600))};
    const BalloonPlan plan = plan_balloons(vms, {.budget = gibibytes(4), .may_give = surely(gibibytes(3))});
    EXPECT_GT(plan.entitled[1], gibibytes(1));
    EXPECT_EQ(move_of(plan, "small"), nullptr);  // all balloons together are above the budget still
}

TEST(Balloon, LendsNoMoreThanWhatOthersCanTakeBackWithoutDanger) {
    const std::vector vms{a_vm("fell", gibibytes(2), gibibytes(2) - mebibytes(200)),
                          a_vm("waits", gibibytes(1), gibibytes(2))};
    BalloonTerms terms{.budget = gibibytes(3),
                       .may_give = {.sure = {}, .likely = mebibytes(600), .lent = mebibytes(150)}};
    const BalloonPlan careful = plan_balloons(vms, terms);
    EXPECT_EQ(move_of(careful, "waits")->to, gibibytes(1) + mebibytes(150)) << "the other may fill again what it has";
    terms.may_give.lent = gibibytes(1);
    EXPECT_EQ(move_of(plan_balloons(vms, terms), "waits")->to, gibibytes(1) + mebibytes(600)) << "never more than half";
    terms.may_give.sure = mebibytes(900);
    EXPECT_EQ(move_of(plan_balloons(vms, terms), "waits")->to, gibibytes(1) + mebibytes(900))
        << "what is there is there";
}

TEST(Balloon, LendsWhatOthersGiveInTheSamePassToo) {
    const std::vector vms{a_vm("idle", gibibytes(4), mebibytes(200)), a_vm("waits", gibibytes(1), gibibytes(3))};
    const BalloonPlan plan =
        plan_balloons(vms, {.budget = gibibytes(5), .may_give = {.sure = {}, .likely = gibibytes(2), .lent = {}}});
    const BalloonMove gives = *move_of(plan, "idle");
    EXPECT_EQ(move_of(plan, "waits")->to - gibibytes(1), gives.from - gives.to);
}

TEST(Balloon, TakesBackInHasteWhatWasLentAndOnlyThat) {
    std::vector vms{a_vm("idle", gibibytes(4), mebibytes(200)), a_vm("waits", gibibytes(1), gibibytes(1))};
    const Bytes budget = gibibytes(4) + mebibytes(600);
    const auto step = [&](Bytes owed) {
        const BalloonPlan plan = plan_balloons(vms, {.budget = budget, .may_give = surely(gibibytes(1)), .owed = owed});
        return move_of(plan, "idle")->from - move_of(plan, "idle")->to;
    };
    EXPECT_EQ(step(mebibytes(300)), Bytes(gibibytes(4).count() / 20 * 4)) << "by an earlier pass";
    EXPECT_EQ(step({}), Bytes(gibibytes(4).count() / 20 * 4)) << "of the margin that this one lends";
    vms[1].balloon = comfortable_size(vms[1]);
    EXPECT_EQ(step({}), Bytes(gibibytes(4).count() / 20)) << "nothing is lent";
}

TEST(Balloon, WhatIsLentIsPaidOnceAllBalloonsFitAgain) {
    std::vector vms{a_vm("idle", gibibytes(4), mebibytes(200)), a_vm("waits", gibibytes(1), gibibytes(3))};
    BalloonTerms terms{.budget = gibibytes(5), .may_give = surely(gibibytes(3))};
    Bytes lent = gibibytes(5);
    for (int pass = 0; pass < 10; ++pass) {
        const BalloonPlan plan = plan_balloons(vms, terms);
        EXPECT_LE(plan.owed, lent) << "nobody asks for more";
        lent = terms.owed = plan.owed;
        if (pass == 0) EXPECT_GT(lent, gibibytes(2));
        for (const BalloonMove& move : plan.moves) std::ranges::find(vms, move.vm, &BalloonVm::id)->balloon = move.to;
    }
    EXPECT_EQ(lent, Bytes(0));
}

TEST(Balloon, ComesToRest) {
    std::vector vms{a_vm("a", gibibytes(4), mebibytes(300)), a_vm("b", gibibytes(4), gibibytes(1)),
                    a_vm("c", gibibytes(4), gibibytes(2))};
    const BalloonTerms terms{.budget = gibibytes(7), .may_give = surely(gibibytes(1))};
    int rounds = 0;
    for (; rounds < 100; ++rounds) {
        const BalloonPlan plan = plan_balloons(vms, terms);
        if (plan.moves.empty()) break;
        for (const BalloonMove& move : plan.moves) std::ranges::find(vms, move.vm, &BalloonVm::id)->balloon = move.to;
    }
    EXPECT_LT(rounds, 30);
    EXPECT_LE(vms[0].balloon + vms[1].balloon + vms[2].balloon, gibibytes(7) + mebibytes(130));
}

TEST(BeforeAMove, ShrinksWhereThatIsFasterThanSending) {
    const BalloonVm vm = a_vm("a", gibibytes(4), gibibytes(1));
    const BytesPerSecond slow_link(100'000'000);
    const BytesPerSecond follows(1'000'000'000);
    EXPECT_EQ(size_before_move(vm, Bytes(0), slow_link, follows), comfortable_size(vm));
    EXPECT_EQ(size_before_move(vm, Bytes(0), follows, slow_link), gibibytes(4));
    EXPECT_EQ(size_before_move(vm, gibibytes(3), slow_link, follows), gibibytes(4));  // free pages are not sent
    EXPECT_EQ(size_before_move(vm, Bytes(0), BytesPerSecond(0), follows), gibibytes(4));
}

}  // namespace
}  // namespace ballast::memory
