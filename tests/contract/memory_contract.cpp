// Memory, and what belongs to it of Compute: what every driver promises of balloons, page merging and saved states.
#include "tests/contract/suite.h"

namespace ballast::testing {
namespace {

using Kind = DriverEvent::Kind;
using drivers::DomainStats;
using drivers::KsmSettings;
using ::testing::Contains;

const VmId nobody("11111111-2222-4333-8444-555555555555");

/// How long a guest may take until its driver is there and has done what it was asked.
constexpr std::chrono::seconds boot_patience{60};

}  // namespace

std::optional<DomainStats> MemoryContract::shown(const VmId& vm) {
    const auto read = call(host().memory().read());
    EXPECT_THAT(read, Succeeds());
    if (!read) return std::nullopt;
    const auto found = std::ranges::find(read->domains, vm, &DomainStats::id);
    return found == read->domains.end() ? std::nullopt : std::optional(*found);
}

bool MemoryContract::shows(const VmId& vm, const std::function<bool(const DomainStats&)>& holds) {
    return eventually(
        [&] {
            const auto stats = shown(vm);
            return stats && holds(*stats);
        },
        boot_patience);
}

bool MemoryContract::speaks(const VmId& vm) {
    return shows(vm, [](const DomainStats& stats) { return stats.unused && stats.guest_said > Timestamp(); });
}

bool MemoryContract::speaks_anew(const VmId& vm) {
    if (!speaks(vm)) return false;
    const Timestamp before = shown(vm)->guest_said;
    // Not the next figures, they may have been on their way.
    return shows(vm, [&](const DomainStats& stats) { return stats.guest_said > before + std::chrono::seconds(2); });
}

bool MemoryContract::follows(const VmId& vm, Bytes target) {
    EXPECT_THAT(call(host().memory().set_balloon(vm, target)), Succeeds());
    const auto there = [&] {
        const auto view = call(host().compute().read_domain(vm));
        return view && view->balloon == target;
    };
    if (!eventually(there, boot_patience)) return false;
    return harness().abilities().is_mock ||
           shows(vm, [&](const DomainStats& stats) { return stats.balloon == target; });
}

TEST_P(MemoryContract, ReadsWhatAHostAndARunningGuestHave) {
    const auto guest = running();
    // A busy domain is left out: a guest that has just started may be.
    ASSERT_TRUE(shows(guest.id, [](const DomainStats& stats) { return stats.state == DomainState::running; }));
    if (harness().abilities().is_mock) return;
    const auto stats = *shown(guest.id);
    EXPECT_EQ(stats.balloon_maximum, guest.spec.memory);
    EXPECT_GT(stats.resident, mebibytes(8));
    const auto read = call(host().memory().read());
    ASSERT_THAT(read, Succeeds());
    EXPECT_GT(read->free, Bytes(0));
    EXPECT_GE(read->cached, Bytes(0));
    EXPECT_GE(read->total, read->free + read->cached + stats.resident);
}

TEST_P(MemoryContract, ReadsTheSameAsTheSweep) {
    const auto guest = running();
    if (!harness().abilities().is_mock) ASSERT_TRUE(speaks(guest.id));
    std::optional<DomainStats> swept;
    ASSERT_TRUE(eventually([&] {
        const auto all = call(host().statistics().sweep());
        if (!all) return false;
        const auto found = std::ranges::find(all->domains, guest.id, &DomainStats::id);
        if (found != all->domains.end()) swept = *found;
        return swept.has_value();
    }));
    ASSERT_TRUE(shows(guest.id, [](const DomainStats&) { return true; }));
    const auto read = *shown(guest.id);
    EXPECT_EQ(read.state, swept->state);
    EXPECT_EQ(read.balloon, swept->balloon);
    EXPECT_EQ(read.balloon_maximum, swept->balloon_maximum);
    EXPECT_EQ(read.available.has_value(), swept->available.has_value());
}

TEST_P(MemoryContract, ShowsWhatAGuestSaysOnceItsDriverIsThereAgainAndAgain) {
    if (harness().abilities().is_mock) GTEST_SKIP() << "no guest behind this host";
    const auto guest = running();
    ASSERT_TRUE(speaks(guest.id));
    const auto stats = *shown(guest.id);
    ASSERT_TRUE(stats.available && stats.usable && stats.disk_caches && stats.major_faults && stats.swap_in);
    EXPECT_LE(*stats.available, guest.spec.memory);
    EXPECT_LE(*stats.unused, *stats.available);
    EXPECT_LE(*stats.usable, *stats.available);
    EXPECT_GT(*stats.unused, Bytes(0));
    EXPECT_EQ(*stats.swap_in, 0U);
    EXPECT_TRUE(speaks_anew(guest.id));
}

TEST_P(MemoryContract, KeepsQuietOfAGuestWithoutABalloon) {
    if (harness().abilities().is_mock) GTEST_SKIP() << "no guest behind this host";
    auto guest = a_guest();
    guest.spec.balloon.enabled = false;
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    ASSERT_TRUE(shows(guest.id, [](const DomainStats& stats) { return stats.resident > Bytes(0); }));
    const auto stats = *shown(guest.id);
    EXPECT_FALSE(stats.unused);
    EXPECT_EQ(stats.guest_said, Timestamp());
    EXPECT_THAT(call(host().memory().set_balloon(guest.id, guest.spec.memory / 2)),
                FailsWith(Code::failed_precondition));
}

TEST_P(MemoryContract, RefusesABalloonAboveTheMaximumOrOfNothing) {
    const auto guest = running();
    EXPECT_THAT(call(host().memory().set_balloon(guest.id, guest.spec.memory * 2)), FailsWith(Code::invalid_argument));
    EXPECT_THAT(call(host().memory().set_balloon(guest.id, Bytes(0))), FailsWith(Code::invalid_argument));
}

TEST_P(MemoryContract, RefusesABalloonOfWhatIsOffOrDoesNotExist) {
    const auto guest = defined();
    EXPECT_THAT(call(host().memory().set_balloon(guest.id, guest.spec.memory / 2)), Refuses(harness().abilities()));
    EXPECT_THAT(call(host().memory().set_balloon(nobody, mebibytes(64))), FailsWith(Code::not_found));
}

TEST_P(MemoryContract, MovesABalloonToItsTargetBothWaysAndTellsOfIt) {
    const auto guest = running();
    if (!harness().abilities().is_mock) ASSERT_TRUE(speaks(guest.id));
    const auto before = shown(guest.id);
    const Bytes target = guest.spec.memory * 3 / 4;
    ASSERT_TRUE(follows(guest.id, target));
    if (!harness().abilities().is_mock) {
        EXPECT_TRUE(hears(Kind::domain_changed, guest.id, 0, "balloon"));
        ASSERT_TRUE(speaks_anew(guest.id));
        const auto free = [](const DomainStats& stats) { return *stats.unused + *stats.disk_caches; };
        EXPECT_LE(free(*shown(guest.id)), free(*before) - (guest.spec.memory - target) * 9 / 10)
            << "what it gave is no longer its own";
    }
    EXPECT_TRUE(follows(guest.id, guest.spec.memory));
}

// Linux takes what is in the balloon off MemTotal only where the balloon may not deflate by itself.
TEST_P(MemoryContract, CountsTheBalloonAsAvailableOnlyWhereItDeflatesByItself) {
    if (harness().abilities().is_mock) GTEST_SKIP() << "no guest behind this host";
    for (const bool autodeflate : {true, false}) {
        auto guest = a_guest();
        guest.spec.balloon.autodeflate = autodeflate;
        ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
        ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
        ASSERT_TRUE(speaks(guest.id));
        const auto before = *shown(guest.id);
        const Bytes target = guest.spec.memory * 3 / 4;
        ASSERT_TRUE(follows(guest.id, target));
        ASSERT_TRUE(speaks_anew(guest.id));
        const Bytes taken = *before.available - *shown(guest.id)->available;
        EXPECT_EQ(taken, autodeflate ? Bytes(0) : guest.spec.memory - target);
    }
}

TEST_P(MemoryContract, ReadsPageMergingBackAsItWasSet) {
    const auto before = call(host().memory().read());
    ASSERT_THAT(before, Succeeds());
    if (!before->ksm) {
        EXPECT_THAT(call(host().memory().set_ksm({.pages_to_scan = 100, .sleep_ms = 20})),
                    FailsWith(Code::failed_precondition));
        return;
    }
    const KsmSettings found = before->ksm->settings;
    KsmSettings wanted = found;
    wanted.pages_to_scan = found.pages_to_scan == 128 ? 129 : 128;
    wanted.sleep_ms = found.sleep_ms == 25 ? 26 : 25;
    const auto set = call(host().memory().set_ksm(wanted));
    const auto after = call(host().memory().read());
    // The machine's own settings: first of all they are put back.
    EXPECT_THAT(call(host().memory().set_ksm(found)), Succeeds());
    EXPECT_THAT(set, Succeeds());
    ASSERT_THAT(after, Succeeds());
    ASSERT_TRUE(after->ksm);
    EXPECT_EQ(after->ksm->settings, wanted);
    EXPECT_EQ(call(host().memory().read())->ksm->settings, found);
    EXPECT_GE(after->ksm->pages_sharing, 0);
    EXPECT_GE(after->ksm->full_scans, 0);
}

TEST_P(MemoryContract, SaysThatTheKernelsAdvisorSetsTheScanRate) {
    const auto before = call(host().memory().read());
    ASSERT_THAT(before, Succeeds());
    const std::string name = harness().hosts().front().id.str();
    if (!before->ksm || !harness().advise_ksm(name, true)) GTEST_SKIP() << "no advisor on these hosts";
    KsmSettings wanted = call(host().memory().read())->ksm->settings;
    wanted.pages_to_scan += 77;
    const auto set = call(host().memory().set_ksm(wanted));
    EXPECT_TRUE(harness().advise_ksm(name, false));
    EXPECT_THAT(call(host().memory().set_ksm(before->ksm->settings)), Succeeds());
    EXPECT_THAT(set, FailsWith(Code::failed_precondition));
    EXPECT_THAT(set.error().message(), ::testing::HasSubstr("the kernel's advisor sets it"));
}

TEST_P(MemoryContract, RefusesSettingsOfPageMergingThatAreNoNumbersOfTheKernels) {
    const auto before = call(host().memory().read());
    ASSERT_THAT(before, Succeeds());
    EXPECT_THAT(call(host().memory().set_ksm({.pages_to_scan = -1, .sleep_ms = 20})),
                FailsWith(Code::invalid_argument));
    EXPECT_THAT(call(host().memory().set_ksm({.pages_to_scan = 100, .sleep_ms = -1})),
                FailsWith(Code::invalid_argument));
    EXPECT_THAT(call(host().memory().set_ksm({.pages_to_scan = std::int64_t{1} << 32, .sleep_ms = 20})),
                FailsWith(Code::invalid_argument));
    if (before->ksm) EXPECT_EQ(call(host().memory().read())->ksm->settings, before->ksm->settings);
}

TEST_P(MemoryContract, DefinesAndReadsBackThatAVmSharesNoPages) {
    auto guest = a_guest();
    guest.spec.overcommit.merge = false;
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    EXPECT_FALSE(call(host().compute().read_domain(guest.id))->spec.overcommit.merge);
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    EXPECT_FALSE(call(host().compute().read_domain(guest.id))->spec.overcommit.merge);
    const auto other = defined();
    EXPECT_TRUE(call(host().compute().read_domain(other.id))->spec.overcommit.merge);
}

TEST_P(MemoryContract, SavesAGuestAndTheNextStartGoesOnFromThere) {
    const auto guest = busy();
    if (!harness().abilities().is_mock) ASSERT_TRUE(speaks(guest.id));
    const Bytes target = guest.spec.memory * 3 / 4;
    ASSERT_TRUE(follows(guest.id, target));
    ASSERT_THAT(call(host().compute().save(guest.id)), Succeeds());
    const auto saved = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(saved, Succeeds());
    EXPECT_EQ(saved->state, DomainState::shut_off);
    EXPECT_THAT(saved->bound_by, Contains("managed save"));
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    EXPECT_TRUE(becomes(guest.id, DomainState::running));
    const auto back = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(back, Succeeds());
    EXPECT_THAT(back->bound_by, ::testing::IsEmpty());
    if (harness().abilities().is_mock) return;
    EXPECT_EQ(back->balloon, target);
    EXPECT_TRUE(beats_on(guest.id)) << "it did not boot: its heart goes on";
}

TEST_P(MemoryContract, KeepsADefinitionThatHasASavedState) {
    const auto guest = running();
    ASSERT_THAT(call(host().compute().save(guest.id)), Succeeds());
    EXPECT_THAT(call(host().compute().undefine(guest.id)), Refuses(harness().abilities()));
    EXPECT_THAT(call(host().compute().read_domain(guest.id)), Succeeds());
}

TEST_P(MemoryContract, RefusesToSaveWhatIsOffOrDoesNotExist) {
    const auto guest = defined();
    EXPECT_THAT(call(host().compute().save(guest.id)), Refuses(harness().abilities()));
    EXPECT_THAT(call(host().compute().save(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().read_domain(guest.id))->bound_by, ::testing::IsEmpty());
}

}  // namespace ballast::testing
