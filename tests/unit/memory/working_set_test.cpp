// What a VM needs, from what its balloon driver says: rises at once, falls slowly, believes nothing that cannot be.
#include "memory/working_set.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using namespace test;
using testing::HasSubstr;

/// Feeds readings ten seconds apart and keeps the last estimate.
class Watch {
  public:
    explicit Watch(VmMemory vm) : vm_(std::move(vm)) {}
    WorkingSet see(Bytes used, int times = 1) {
        for (int i = 0; i < times; ++i) {
            at_ += Seconds(10);
            read(uses(vm_, used, at_));
        }
        return last_.working_set;
    }
    WorkingSet read(const VmMemory& vm) {
        last_ = estimate(vm, last_.memo, at_);
        return last_.working_set;
    }
    VmMemory& vm() { return vm_; }
    [[nodiscard]] Timestamp at() const { return at_; }

  private:
    VmMemory vm_;
    Timestamp at_ = noon;
    Estimate last_;
};

double gib(Bytes bytes) {
    return bytes / gibibytes(1);
}

TEST(WorkingSet, IsWhatCannotBeGivenAndTheHotPartOfThePageCache) {
    const WorkingSet set = estimate(a_vm(), {}, noon).working_set;
    EXPECT_EQ(set.trust, Trust::trusted);
    EXPECT_EQ(set.size, gibibytes(1) + mebibytes(128));
    EXPECT_EQ(set.page_cache, mebibytes(512));
    EXPECT_EQ(set.unused, gibibytes(3) - mebibytes(512));
    EXPECT_NEAR(set.idle, 1 - 1.125 / 4, 1e-9);
}

TEST(WorkingSet, TakesTheDiskCachesWhereTheGuestDoesNotSayWhatIsUsable) {
    VmMemory vm = a_vm();
    vm.reading.unused = gibibytes(2);
    vm.reading.usable.reset();
    vm.reading.disk_caches = gibibytes(1);
    EXPECT_EQ(estimate(vm, {}, noon).working_set.size, gibibytes(1) + mebibytes(256));
    vm.reading.disk_caches.reset();  // then all that is not free may be in use
    EXPECT_EQ(estimate(vm, {}, noon).working_set.size, gibibytes(2));
}

TEST(WorkingSet, DoesNotCountTwiceThePageCacheThatTheGuestsKernelKeepsBack) {
    VmMemory vm = a_vm();  // 512 MiB of its cache are usable
    vm.reading.disk_caches = mebibytes(512 + 96);
    EXPECT_EQ(estimate(vm, {}, noon).working_set.size, gibibytes(1) + mebibytes((512 + 96) / 4 - 96));
    vm.reading.disk_caches = gibibytes(1);  // shared memory is in it too: no watermark is so high
    EXPECT_EQ(estimate(vm, {}, noon).working_set.size, gibibytes(1) + mebibytes((512 + 128) / 4 - 128));
    vm.reading.disk_caches.reset();
    EXPECT_EQ(estimate(vm, {}, noon).working_set.size, gibibytes(1) + mebibytes(512 / 4));
}

TEST(WorkingSet, RisesAtOnceAndFallsSlowly) {
    Watch watch(a_vm());
    watch.see(gibibytes(1), 60);
    EXPECT_EQ(watch.see(gibibytes(3)).size, gibibytes(3));
    watch.see(gibibytes(3), 120);
    EXPECT_GT(gib(watch.see(gibibytes(1)).size), 2.65);     // ten seconds later
    EXPECT_GT(gib(watch.see(gibibytes(1), 30).size), 1.9);  // five minutes later
    EXPECT_LT(gib(watch.see(gibibytes(1), 240).size), 1.05);
}

TEST(WorkingSet, AShortDipDoesNotLookLikeIdling) {
    Watch watch(a_vm());
    watch.see(gibibytes(3), 60);
    EXPECT_GT(gib(watch.see(gibibytes(0), 6).size), 2.7);
}

TEST(WorkingSet, WhatAGuestNeedsWhileItBootsIsNotPartOfItsMean) {
    Watch watch(a_vm());
    watch.see(gibibytes(3), 5);  // unpacks, probes, reads
    const WorkingSet booting = watch.see(gibibytes(1));
    EXPECT_TRUE(booting.guessed);
    EXPECT_EQ(booting.mean, gibibytes(1));
    EXPECT_EQ(booting.deviation, booting.mean / 4 * 3) << "what it may still take, a quarter of it";
    watch.see(gibibytes(1));
    const WorkingSet known = watch.see(gibibytes(1));
    EXPECT_FALSE(known.guessed);
    EXPECT_EQ(known.mean, gibibytes(1));
    EXPECT_GT(known.size, gibibytes(2)) << "balloons do not go down with it";
}

TEST(WorkingSet, KnowsMeanAndDeviationOfALoadThatComesAndGoes) {
    Watch watch(a_vm());
    for (int i = 0; i < 24 * 6; ++i) {
        watch.see(gibibytes(1), 30);
        watch.see(gibibytes(3), 30);
    }
    const WorkingSet set = watch.see(gibibytes(1));
    EXPECT_NEAR(gib(set.mean), 2, 0.1);
    EXPECT_NEAR(gib(set.deviation), 1, 0.05);
}

TEST(WorkingSet, IsUnsureOfAVmThatItHasOnlyJustSeen) {
    Watch watch(a_vm());
    EXPECT_NEAR(gib(watch.see(gibibytes(1)).deviation), 0.75, 0.01);
    EXPECT_LT(gib(watch.see(gibibytes(1), 360 * 12).deviation), 0.25);  // after twelve hours of standing still
}

TEST(WorkingSet, AGuestThatSwapsInNeedsMoreThanItHas) {
    Watch watch(has(a_vm(), gibibytes(2)));
    EXPECT_FALSE(watch.see(mebibytes(1900)).lacks);
    watch.vm().reading.swap_in = mebibytes(100);
    const WorkingSet set = watch.see(mebibytes(1900));
    EXPECT_TRUE(set.lacks);
    EXPECT_EQ(set.size, mebibytes(2560));
    EXPECT_EQ(set.idle, 0);
    EXPECT_FALSE(watch.see(mebibytes(1900)).lacks);  // the counter stands still again
}

TEST(WorkingSet, AGuestThatFaultsNeedsMoreThanItHasButNeverMoreThanItsMaximum) {
    Watch watch(has(a_vm(), mebibytes(3900)));
    watch.see(mebibytes(3000));
    watch.vm().reading.major_faults = 50'000;
    const WorkingSet set = watch.see(mebibytes(3000));
    EXPECT_TRUE(set.lacks);
    EXPECT_EQ(set.size, gibibytes(4));
}

TEST(WorkingSet, CountersThatGoBackAreThoseOfAGuestThatWasStartedAgain) {
    Watch watch(a_vm());
    watch.vm().reading.swap_in = gibibytes(3);
    watch.vm().reading.major_faults = 1'000'000;
    watch.see(gibibytes(1));
    watch.vm().reading.swap_in = Bytes(0);
    watch.vm().reading.major_faults = 5;
    EXPECT_FALSE(watch.see(gibibytes(1)).lacks);
}

TEST(WorkingSet, ReadingTheSameStatisticsTwiceChangesNothing) {
    const VmMemory vm = uses(a_vm(), gibibytes(3));
    const Estimate first = estimate(vm, {}, noon);
    const Estimate second = estimate(vm, first.memo, noon + Seconds(10));
    EXPECT_EQ(first.memo, second.memo);
    EXPECT_EQ(first.working_set, second.working_set);
}

struct Bad {
    std::string name;
    VmMemory vm;
    Trust trust;
    std::string words;
};

template <class Change>
VmMemory with(Change change) {
    VmMemory vm = a_vm();
    change(vm);
    return vm;
}

const Bad bad_ones[] = {
    {"no_balloon", with([](VmMemory& vm) { vm.balloon = false; }), Trust::no_driver, "has no balloon"},
    {"no_statistics", with([](VmMemory& vm) { vm.reading.unused.reset(), vm.reading.usable.reset(); }),
     Trust::no_statistics, "no statistics"},
    {"never_wrote", with([](VmMemory& vm) { vm.reading.at = Timestamp{}; }), Trust::no_statistics, "no statistics"},
    {"old", with([](VmMemory& vm) { vm.reading.at = noon - Seconds(61); }), Trust::old, "old"},
    {"unused_above_what_it_has", with([](VmMemory& vm) { vm.reading.unused = gibibytes(5); }), Trust::implausible,
     "5 GiB are unused of the 4 GiB"},
    {"usable_above_what_it_has", with([](VmMemory& vm) { vm.reading.usable = gibibytes(6); }), Trust::implausible,
     "usable"},
    {"unused_above_its_total", with([](VmMemory& vm) { vm.reading.available = gibibytes(1); }), Trust::implausible,
     "in all"},
    {"total_above_its_maximum", with([](VmMemory& vm) { vm.reading.available = gibibytes(9); }), Trust::implausible,
     "more than its maximum"},
    {"cache_above_what_it_has", with([](VmMemory& vm) { vm.reading.disk_caches = gibibytes(9); }), Trust::implausible,
     "page cache"},
    {"negative", with([](VmMemory& vm) { vm.reading.unused = Bytes(-1); }), Trust::implausible, "less than nothing"},
};

class UntrustedGuest : public testing::TestWithParam<Bad> {};

TEST_P(UntrustedGuest, CountsAtFullSizeAndIsMarked) {
    const Estimate made = estimate(GetParam().vm, {}, noon);
    EXPECT_EQ(made.working_set.trust, GetParam().trust);
    EXPECT_EQ(made.working_set.size, gibibytes(4));
    EXPECT_EQ(made.working_set.idle, 0);
    EXPECT_THAT(made.working_set.why, HasSubstr(GetParam().words));
    EXPECT_EQ(made.memo, WorkingSetMemo{});  // nothing is learned from it
}

INSTANTIATE_TEST_SUITE_P(All, UntrustedGuest, testing::ValuesIn(bad_ones),
                         [](const auto& info) { return info.param.name; });

TEST(WorkingSet, IsBelievedAgainOnceItsStatisticsAreFresh) {
    Watch watch(a_vm());
    watch.see(gibibytes(1), 10);
    VmMemory silent = uses(watch.vm(), gibibytes(1), watch.at() - Seconds(100));
    EXPECT_EQ(watch.read(silent).trust, Trust::old);
    EXPECT_EQ(watch.see(gibibytes(1)).size, gibibytes(1));
}

}  // namespace
}  // namespace ballast::memory
