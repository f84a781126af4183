// KSM's scan rate: by what it gains, within its CPU share, off when it wins nothing, and never a fight.
#include "memory/ksm.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using test::noon;
using testing::HasSubstr;

/// A kernel that merges what it scans, from the second pass on.
class Kernel {
  public:
    KsmReading reading{.pages_to_scan = 100, .sleep_ms = 20};
    double registered = 1'000'000;
    double mergeable = 500'000;
    bool runs = true;

    void pass(Milliseconds time) {
        if (!runs || reading.pages_to_scan <= 0) return;
        const double seconds = static_cast<double>(time.count()) / 1000;
        const auto pages = static_cast<double>(reading.pages_to_scan);
        const double before = scanned_;
        scanned_ += pages / (0.020 + pages * 5e-6) * seconds;
        const auto share_of_second_pass = [&](double at) { return std::clamp(at / registered - 1, 0.0, 1.0); };
        const double merged = mergeable * (share_of_second_pass(scanned_) - share_of_second_pass(before));
        reading.pages_sharing += static_cast<std::int64_t>(merged);
        reading.pages_shared = reading.pages_sharing > 0 ? 1000 : 0;
        reading.pages_volatile = static_cast<std::int64_t>(std::min(scanned_, registered));
        reading.full_scans = static_cast<std::int64_t>(scanned_ / registered);
    }

  private:
    double scanned_ = 0;
};

/// The controller and a kernel, ten seconds a sweep.
class Tuning {
  public:
    Kernel kernel;
    KsmTerms terms{.registered = Bytes(4096LL * 1'000'000), .cpu_share = 0.1};
    Timestamp at = noon;
    KsmMemo memo;
    KsmDecision last;
    double cpu = 0;

    void until(KsmState state) {
        for (int i = 0; i < 2'000 && sweep().state != state;) ++i;
        ASSERT_EQ(last.state, state);
    }
    const KsmDecision& sweep(int times = 1) {
        for (int i = 0; i < times; ++i) {
            at += Seconds(10);
            kernel.pass(Seconds(10));
            const auto pages = static_cast<double>(kernel.reading.pages_to_scan);
            cpu += 10 * pages * 5e-6 / (0.020 + pages * 5e-6);
            auto [decision, next] = tune_ksm(kernel.reading, terms, memo, at);
            memo = next;
            last = decision;
            if (decision.pages_to_scan) kernel.reading.pages_to_scan = *decision.pages_to_scan;
            if (decision.merge_across_nodes) kernel.reading.merge_across_nodes = *decision.merge_across_nodes;
        }
        return last;
    }
};

TEST(Ksm, ScansWithinItsCpuShare) {
    Tuning run;
    EXPECT_EQ(run.sweep().state, KsmState::scanning);
    EXPECT_NEAR(run.last.cpu_share, 0.1, 0.001);
    EXPECT_EQ(*run.last.pages_to_scan, pages_for_share(0.1, 20));
    run.sweep(1000);
    EXPECT_LE(run.cpu, 0.1001 * 10 * 1001);
}

TEST(Ksm, FindsWhatThereIsToShareAndThenRests) {
    Tuning run;
    run.until(KsmState::resting);
    EXPECT_NEAR(static_cast<double>(run.kernel.reading.pages_sharing), 500'000, 100);
    EXPECT_EQ(run.kernel.reading.pages_to_scan, 0);  // what is merged stays merged
    const double before = run.cpu;
    run.sweep(50);
    EXPECT_EQ(run.cpu, before);
}

TEST(Ksm, LooksAgainAfterItsRestAndAtOnceWhenThereIsMoreToScan) {
    Tuning run;
    run.until(KsmState::resting);
    EXPECT_EQ(run.sweep(59).state, KsmState::resting);
    EXPECT_EQ(run.sweep(2).state, KsmState::scanning);
    run.until(KsmState::resting);
    run.terms.registered = run.terms.registered + run.terms.registered / 10;
    EXPECT_EQ(run.sweep().state, KsmState::scanning);
}

TEST(Ksm, LooksAgainAtOnceWhenVmsHaveEndedAsTheirPagesAreCountedUntilThen) {
    Tuning run;
    run.until(KsmState::resting);
    run.terms.registered = run.terms.registered * 9 / 10;
    EXPECT_EQ(run.sweep().state, KsmState::scanning);
}

TEST(Ksm, WhereNothingMergesItTakesLittle) {
    Tuning run;
    run.kernel.mergeable = 0;
    run.sweep(8'640);  // a day
    EXPECT_LT(run.cpu / 86'400, 0.01);
    EXPECT_EQ(run.kernel.reading.pages_sharing, 0);
}

TEST(Ksm, IsOffWhereTheHostHasPlenty) {
    Tuning run;
    run.terms.plenty = true;
    EXPECT_EQ(run.sweep(3).state, KsmState::plenty);
    EXPECT_EQ(run.kernel.reading.pages_to_scan, 0);
}

TEST(Ksm, UnderPressureItMayTakeTwiceTheCpu) {
    Tuning run;
    run.terms.pressed = true;
    EXPECT_NEAR(run.sweep().cpu_share, 0.2, 0.001);
}

TEST(Ksm, APolicyWithoutItChangesNothing) {
    Tuning run;
    run.terms.cpu_share = 0;
    EXPECT_EQ(run.sweep(5).state, KsmState::off);
    EXPECT_EQ(run.kernel.reading.pages_to_scan, 100);
    EXPECT_EQ(tune_ksm(std::nullopt, run.terms, {}, noon).decision.state, KsmState::absent);
}

TEST(Ksm, OneThatDoesNotRunIsNoticedByItsCountersAndSaid) {
    Tuning run;
    run.sweep(20);
    run.kernel.runs = false;
    run.sweep(400);
    EXPECT_EQ(run.last.state, KsmState::stopped);
    EXPECT_THAT(run.last.why, HasSubstr("does not run"));
    EXPECT_EQ(run.last.pages_to_scan, std::nullopt);
    run.kernel.runs = true;
    run.until(KsmState::scanning);  // a counter moves at the end of a pass
}

TEST(Ksm, AnAdvisorThatSetsTheRateIsNoticedAndNotFought) {
    Tuning run;
    run.sweep(3);
    run.kernel.reading.pages_to_scan = 777;
    EXPECT_EQ(run.sweep().state, KsmState::foreign);
    EXPECT_THAT(run.last.why, HasSubstr("scans 777 pages at a time where 444 were set"));
    for (int i = 0; i < 500; ++i) {  // it goes on tuning
        run.kernel.reading.pages_to_scan = 700 + i;
        ASSERT_EQ(run.sweep().state, KsmState::foreign);
        ASSERT_EQ(run.last.pages_to_scan, std::nullopt);
    }
    EXPECT_EQ(run.sweep(362).state, KsmState::scanning);  // an hour after it last changed anything
}

TEST(Ksm, KeepsToNumaNodesOnlyWhileNothingIsShared) {
    Tuning run;
    run.terms.numa_cells = 2;
    EXPECT_EQ(run.sweep().merge_across_nodes, false);
    Tuning late;
    late.terms.numa_cells = 2;
    late.kernel.reading.pages_sharing = 5;
    EXPECT_EQ(late.sweep().merge_across_nodes, std::nullopt);
    Tuning single;
    EXPECT_EQ(single.sweep().merge_across_nodes, std::nullopt);
}

TEST(Ksm, RestoresWhatItFound) {
    Tuning run;
    run.sweep(5);
    ASSERT_TRUE(restored(run.memo, run.kernel.reading));
    EXPECT_EQ(restored(run.memo, run.kernel.reading)->pages_to_scan, 100);
    run.kernel.reading.pages_to_scan = 100;
    EXPECT_EQ(restored(run.memo, run.kernel.reading), std::nullopt);
    EXPECT_EQ(restored({}, run.kernel.reading), std::nullopt);
}

TEST(Ksm, FindsWhatIsThereWhenItBeginsAndNotWhatWasThereWhenItFirstLooked) {
    Tuning run;
    run.terms.cpu_share = 0;
    run.sweep(3);
    run.kernel.reading.pages_to_scan = 250;  // somebody else, while Ballast only watches
    run.sweep(3);
    run.terms.cpu_share = 0.1;
    run.sweep(2);
    ASSERT_EQ(run.last.state, KsmState::scanning);
    EXPECT_EQ(restored(run.memo, run.kernel.reading)->pages_to_scan, 250);
}

TEST(Ksm, ForecastsWhatUnsharingTakesBack) {
    Tuning run;
    run.sweep(90);
    const std::int64_t full = run.kernel.reading.pages_sharing;
    run.kernel.mergeable = 0;
    for (int i = 0; i < 360; ++i) {  // a thousandth every ten seconds
        run.kernel.reading.pages_sharing -= run.kernel.reading.pages_sharing / 1000;
        run.sweep();
    }
    const Unsharing hour = unsharing_within(run.memo, Bytes(full * 4096), Seconds(3'600));
    EXPECT_NEAR(hour.memory / Bytes(full * 4096), 0.30, 0.02);
    EXPECT_NEAR(static_cast<double>(hour.cpu_time.count()), static_cast<double>(hour.memory.count()) / 4096 * 0.004, 2);
    EXPECT_EQ(unsharing_within({}, gibibytes(1), Seconds(3'600)).memory, Bytes(0));
}

}  // namespace
}  // namespace ballast::memory
