// The whole controller of a host, sweep after sweep, on guests that follow.
#include "memory/control.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "memory/budget.h"
#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::IsEmpty;

/// A host whose guests use what they are told to, follow their balloons at once, and touch nothing else.
class Bed {
  public:
    HostMemory host;
    std::vector<VmMemory> vms;
    std::map<std::string, Bytes> used;
    std::function<bool(const VmMemory&)> follows = [](const VmMemory&) { return true; };
    MemoryPolicy policy = MemoryPolicy::balanced;
    Timestamp at = noon;
    HostMemo memo;
    Decisions last;

    explicit Bed(Bytes total) {
        host.total = total;
        host.pressure = 0.0;
        host.swap_in = BytesPerSecond(0);
    }
    VmMemory& add(const std::string& name, Bytes uses_now, Bytes maximum = gibibytes(4),
                  Bytes minimum = mebibytes(512)) {
        vms.push_back(a_vm(name, maximum, minimum));
        vms.back().overhead = mebibytes(100);
        used[name] = uses_now;
        return vms.back();
    }
    VmMemory& vm(const std::string& name) { return *std::ranges::find(vms, name, &VmMemory::name); }
    [[nodiscard]] const VmView& view(const std::string& name) const {
        return *std::ranges::find(last.vms, VmId(name), &VmView::vm);
    }
    const Decisions& sweep(int times = 1) {
        for (int i = 0; i < times; ++i) {
            at += Seconds(10);
            for (VmMemory& vm : vms) read(vm);
            settle();
            auto [decisions, next] = control(host, vms, memo, policy, at);
            memo = std::move(next);
            last = std::move(decisions);
            for (const BalloonMove& move : last.balloons) {
                VmMemory& moved = *std::ranges::find(vms, move.vm, &VmMemory::id);
                if (follows(moved)) moved.reading.balloon = move.to;
            }
        }
        return last;
    }
    [[nodiscard]] Bytes balloons() const {
        Bytes all;
        for (const VmMemory& vm : vms) all += vm.reading.balloon;
        return all;
    }

  private:
    void read(VmMemory& vm) const {
        const Bytes in_use = std::min(used.at(vm.name), vm.reading.balloon);
        vm = uses(vm, in_use, at);
        vm.reading.available = vm.reading.balloon;
        vm.reading.resident = in_use + vm.overhead;
    }
    void settle() {
        Bytes resident;
        for (const VmMemory& vm : vms) resident += vm.reading.resident;
        host.free = saturating_sub(host.total, resident + gibibytes(1));  // of its own it uses 1 GiB
        host.reserved = gibibytes(1);
    }
};

Bed a_full_bed() {
    Bed bed(gibibytes(32));
    for (int i = 0; i < 20; ++i) bed.add("vm" + std::to_string(i), mebibytes(600));
    return bed;
}

TEST(Control, BringsAllBalloonsTogetherWithinTheHost) {
    Bed bed = a_full_bed();  // 80 GiB are promised of 32
    bed.sweep(60);
    EXPECT_LE(bed.balloons(), gibibytes(32) - gibibytes(1) - mebibytes(2000));
    EXPECT_GT(bed.balloons(), gibibytes(24));
    EXPECT_EQ(bed.last.level, Level::comfortable);
    EXPECT_EQ(bed.last.unmet, Bytes(0));
    for (const VmMemory& vm : bed.vms) EXPECT_GE(vm.reading.balloon, mebibytes(660));
}

TEST(Control, WhatIsAtRestIsNotMoved) {
    Bed bed = a_full_bed();
    bed.sweep(80);
    for (int i = 0; i < 50; ++i) EXPECT_THAT(bed.sweep().balloons, IsEmpty()) << i;
}

TEST(Control, AGuestThatWakesHasItsMemoryBackWithinTwoSweeps) {
    Bed bed = a_full_bed();
    bed.sweep(80);
    bed.used["vm3"] = gibibytes(3);
    for (int i = 0; i < 6; ++i) {
        bed.vm("vm3").reading.swap_in = bed.vm("vm3").reading.swap_in.value() + mebibytes(200);
        bed.sweep();
    }
    EXPECT_GE(bed.vm("vm3").reading.balloon, gibibytes(3));
    EXPECT_LT(bed.last.level, Level::pressed);
}

TEST(Control, NeverSumsAboveWhatIsThereNorBelowAMinimumWhateverGuestsDo) {
    Bed bed = a_full_bed();
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 20; ++i)
            bed.used["vm" + std::to_string(i)] = mebibytes(200 + (round * 37 + i * 131) % 1200);
        bed.sweep();
        for (const VmMemory& vm : bed.vms) {
            ASSERT_GE(vm.reading.balloon, vm.minimum);
            ASSERT_LE(vm.reading.balloon, vm.maximum);
        }
        if (round > 60) ASSERT_LE(bed.balloons(), gibibytes(32) - gibibytes(2));
        ASSERT_LT(bed.last.level, Level::pressed);
    }
}

TEST(Control, AHostOfPolicyNoneIsOnlyWatched) {
    Bed bed = a_full_bed();
    bed.policy = MemoryPolicy::none;
    bed.host.ksm = KsmReading{.pages_to_scan = 100};
    bed.used["vm0"] = gibibytes(4);
    bed.sweep(10);
    EXPECT_THAT(bed.last.balloons, IsEmpty());
    EXPECT_EQ(bed.last.ksm.pages_to_scan, std::nullopt);
    EXPECT_EQ(bed.last.ledger.total, gibibytes(32));
    EXPECT_EQ(bed.view("vm0").working_set.trust, Trust::trusted);
    bed.host.total = gibibytes(10);
    EXPECT_THAT(bed.sweep().acts, IsEmpty());
}

TEST(Control, WhatNobodyWasPromisedIsThereForAVmThatStarts) {
    Bed bed(gibibytes(16));
    for (const char* name : {"a", "b", "c"}) bed.add(name, gibibytes(1));
    const Bytes own = gibibytes(1);  // of the host
    const Bytes left = gibibytes(16) - own - (gibibytes(4) + mebibytes(100)) * 3;
    EXPECT_EQ(bed.sweep().start_room, left)
        << "all three boot: all else is theirs to fill, and the reserve is not kept";
    EXPECT_GT(bed.last.start_room_made, left + gibibytes(6)) << "a start can wait until they are known";
    bed.add("d", gibibytes(1));
    EXPECT_EQ(bed.sweep().start_room, Bytes(0)) << "now the host is overcommitted";
    const Bytes made = bed.last.start_room_made;
    bed.vm("d").balloon = false;
    bed.sweep();
    EXPECT_LE(bed.last.start_room_made, made - gibibytes(2))
        << "it is never known, and may fill all it has at any time";
    bed.vm("d").boots = true;
    bed.sweep();
    EXPECT_GT(bed.last.start_room_made, made - gibibytes(1)) << "its driver may still come";
    bed.vm("d").balloon = true;
    bed.sweep(12);
    EXPECT_GT(bed.last.start_room, gibibytes(4)) << "nobody boots any more, and balloons went down";
}

TEST(Control, LeavesAloneWhomItMustAndSaysWhy) {
    Bed bed = a_full_bed();
    bed.vm("vm0").policy = MemoryPolicy::none;
    bed.vm("vm1").migrating = true;
    bed.vm("vm2").balloon = false;
    bed.sweep(40);
    EXPECT_THAT(bed.view("vm0").left_alone, HasSubstr("policy is none"));
    EXPECT_THAT(bed.view("vm1").left_alone, HasSubstr("being moved"));
    EXPECT_THAT(bed.view("vm2").left_alone, HasSubstr("no balloon"));
    for (const char* name : {"vm0", "vm1", "vm2"}) EXPECT_EQ(bed.vm(name).reading.balloon, gibibytes(4));
    EXPECT_LE(bed.balloons(), gibibytes(29));  // the others make room for them
}

TEST(Control, ABalloonThatSticksIsTakenOutAndTheOthersGoOn) {
    Bed bed = a_full_bed();
    bed.follows = [](const VmMemory& vm) { return vm.name != "vm7"; };
    bed.sweep(40);
    EXPECT_THAT(bed.view("vm7").left_alone, HasSubstr("sticks at 4 GiB"));
    EXPECT_LE(bed.balloons(), gibibytes(29));
}

TEST(Control, AGuestWithoutStatisticsIsNeverSqueezedAndGetsBackWhatItLost) {
    Bed bed = a_full_bed();
    bed.sweep(60);
    const Bytes before = bed.vm("vm5").reading.balloon;
    ASSERT_LT(before, gibibytes(2));
    VmMemory& silent = bed.vm("vm5");
    const Timestamp last = bed.at;
    for (int i = 0; i < 60; ++i) {
        bed.at += Seconds(10);
        silent.reading.at = last;
        auto [decisions, next] = control(bed.host, bed.vms, bed.memo, bed.policy, bed.at);
        bed.memo = next;
        bed.last = decisions;
        for (const BalloonMove& move : decisions.balloons)
            std::ranges::find(bed.vms, move.vm, &VmMemory::id)->reading.balloon = move.to;
        for (VmMemory& vm : bed.vms)
            if (vm.id != silent.id) vm = uses(vm, mebibytes(600), bed.at);
    }
    EXPECT_EQ(bed.view("vm5").working_set.trust, Trust::old);
    EXPECT_EQ(silent.reading.balloon, gibibytes(4));
}

TEST(Control, AGuestThatLiesCountsAtFullSize) {
    Bed bed = a_full_bed();
    bed.sweep(60);
    VmMemory& liar = bed.vm("vm5");
    liar = uses(liar, mebibytes(100), bed.at + Seconds(10));
    liar.reading.unused = gibibytes(64);
    const auto [decisions, next] = control(bed.host, bed.vms, bed.memo, bed.policy, bed.at + Seconds(10));
    EXPECT_EQ(decisions.vms[5].working_set.trust, Trust::implausible);
    EXPECT_EQ(demand_of(liar, decisions.vms[5].working_set).working_set, gibibytes(4) + mebibytes(100));
    for (const BalloonMove& move : decisions.balloons)
        if (move.vm == liar.id) EXPECT_GE(move.to, move.from);
}

TEST(Control, AHostWhoseMemoryShrinksClimbsAndStaysWithinWhatIsLeft) {
    Bed bed = a_full_bed();
    bed.sweep(60);
    bed.host.total = gibibytes(18);
    bed.sweep(60);
    EXPECT_EQ(bed.last.ledger.total, gibibytes(18));
    EXPECT_LE(bed.balloons(), gibibytes(14));
    bed.host.total = mebibytes(15'800);
    EXPECT_EQ(bed.sweep().level, Level::tight);
    bed.host.total = gibibytes(8);  // minimums of 10 GiB do not fit any more
    bed.sweep(5);
    EXPECT_EQ(bed.last.risk.verdict, AdmissionVerdict::minimums);
    EXPECT_FALSE(bed.last.admits);
    for (const VmMemory& vm : bed.vms) EXPECT_GE(vm.reading.balloon, vm.minimum);
}

TEST(Control, SuspendsTheLowestPriorityOnlyWhereThatIsAllowedAndFits) {
    Bed bed(gibibytes(8));
    bed.policy = MemoryPolicy::dense;
    for (int i = 0; i < 4; ++i) {
        VmMemory& vm = bed.add("vm" + std::to_string(i), gibibytes(2), gibibytes(2), gibibytes(2));
        vm.may_suspend = i != 0;
        vm.priority = i == 2 ? 1 : 5;
    }
    bed.vm("vm0").priority = 0;
    bed.sweep(5);
    EXPECT_EQ(bed.last.level, Level::critical);
    EXPECT_EQ(bed.last.suspend, std::nullopt);  // no space
    bed.host.suspend_space = gibibytes(3);
    EXPECT_EQ(bed.sweep().suspend, VmId("vm2"));
    bed.policy = MemoryPolicy::balanced;
    EXPECT_EQ(bed.sweep().suspend, std::nullopt);
}

TEST(Control, KeepsALargerReserveWhereItSeesLess) {
    Bed bed = a_full_bed();
    bed.sweep(60);
    Bed blind = a_full_bed();
    blind.host.pressure.reset();
    blind.host.swap_in.reset();
    blind.sweep(60);
    EXPECT_LT(blind.balloons(), bed.balloons() - gibibytes(1));
}

TEST(Control, StatesTheRiskOfWhatIsThere) {
    Bed bed = a_full_bed();
    bed.sweep(360 * 6);
    EXPECT_EQ(bed.last.risk.verdict, AdmissionVerdict::admitted);
    EXPECT_THAT(bed.last.risk.words, HasSubstr("p99 demand leaves"));
    EXPECT_TRUE(bed.last.admits);
}

TEST(Control, TheSameSweepGivesTheSameDecisionsAlsoFromAStateThatWasStored) {
    Bed bed = a_full_bed();
    bed.host.ksm = KsmReading{.pages_to_scan = 100, .pages_sharing = 1000};
    bed.follows = [](const VmMemory& vm) { return vm.name != "vm7"; };
    bed.sweep(30);
    const auto stored = parse_as<HostMemo>(to_json_text(bed.memo), "memo");
    ASSERT_TRUE(stored) << stored.error().chain();
    EXPECT_EQ(*stored, bed.memo);
    const Controlled a = control(bed.host, bed.vms, bed.memo, bed.policy, bed.at + Seconds(10));
    const Controlled b = control(bed.host, bed.vms, *stored, bed.policy, bed.at + Seconds(10));
    EXPECT_EQ(a.decisions, b.decisions);
    EXPECT_EQ(a.next, b.next);
}

TEST(Control, AfterARestartWithoutItsStateNoGuestStaysSqueezed) {
    Bed bed = a_full_bed();
    bed.sweep(60);
    bed.memo = {};
    for (int i = 0; i < 18; ++i) bed.used["vm" + std::to_string(i)] = mebibytes(100);
    bed.used["vm19"] = gibibytes(3);
    bed.vm("vm19").reading.swap_in = Bytes(0);
    for (int i = 0; i < 8; ++i) {
        bed.vm("vm19").reading.swap_in = mebibytes(500 * (i + 1));
        bed.sweep();
    }
    EXPECT_GE(bed.vm("vm19").reading.balloon, gibibytes(3));
}

TEST(Control, AGuestThatSwapsNeedsASweepAtOnce) {
    Bed bed = a_full_bed();
    bed.sweep(3);
    std::vector<VmMemory> read = bed.vms;
    for (VmMemory& vm : read) vm.reading.at += Seconds(2);
    EXPECT_FALSE(sweep_at_once(read, bed.memo));
    read[4].reading.swap_in = *read[4].reading.swap_in + mebibytes(3);
    EXPECT_TRUE(sweep_at_once(read, bed.memo));
    read[4] = read[3];
    read[4].id = VmId("new");  // nothing is known of it to compare with
    EXPECT_FALSE(sweep_at_once(read, bed.memo));
}

TEST(Control, WhatIsLentNeedsASweepAtOnceUntilItIsTakenBack) {
    Bed bed = a_full_bed();
    bed.sweep(80);
    ASSERT_EQ(bed.memo.owed, Bytes(0));
    bed.used["vm3"] = gibibytes(3);
    bed.vm("vm3").reading.swap_in = *bed.vm("vm3").reading.swap_in + mebibytes(200);
    bed.sweep();
    EXPECT_GT(bed.memo.owed, Bytes(0));
    EXPECT_TRUE(sweep_at_once(bed.vms, bed.memo)) << "though no guest lacks memory since";
    bed.sweep(10);
    EXPECT_EQ(bed.memo.owed, Bytes(0));
    EXPECT_FALSE(sweep_at_once(bed.vms, bed.memo));
}

TEST(Control, InDangerTakesPageCacheBeforeWhatProgramsHold) {
    HostMemory host;
    host.total = mebibytes(5'840);
    host.reserved = gibibytes(1);
    host.free = mebibytes(100);
    host.pressure = 0.0;
    std::vector<VmMemory> vms{a_vm("cache"), a_vm("programs")};
    for (VmMemory& vm : vms) vm = has(vm, gibibytes(3));
    for (VmMemory& vm : vms) vm.minimum = mebibytes(256);
    vms[0].reading.unused = Bytes(0);
    vms[0].reading.usable = gibibytes(2);  // all of it page cache
    vms[1].reading.unused = vms[1].reading.usable = mebibytes(20);
    const Decisions made = control(host, vms, {}, MemoryPolicy::balanced, noon).decisions;
    EXPECT_GE(made.level, Level::pressed);
    ASSERT_EQ(made.balloons.size(), 1U) << "what the programs of the other hold can only be swapped out";
    EXPECT_EQ(made.balloons[0].vm, VmId("cache"));
    EXPECT_LT(made.balloons[0].to, gibibytes(3));
}

TEST(Control, ForgetsVmsThatAreGone) {
    Bed bed = a_full_bed();
    bed.sweep();
    bed.vms.resize(3);
    bed.sweep();
    EXPECT_EQ(bed.memo.vms.size(), 3U);
    bed.vms.clear();
    bed.sweep();
    EXPECT_EQ(bed.last.risk.risk, 0);
}

}  // namespace
}  // namespace ballast::memory
