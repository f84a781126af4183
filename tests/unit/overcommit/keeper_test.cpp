// The memory of one simulated host, kept through everything that goes wrong with it.
#include <gmock/gmock.h>

#include "tests/unit/overcommit/memory_fixture.h"

namespace ballast::testing {
namespace {

using drivers::simulated::MemoryLoad;
using drivers::simulated::MemoryPattern;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr Bytes maximum = gibibytes(1);
constexpr Bytes minimum = mebibytes(256);

MemoryLoad idle(Bytes wants = mebibytes(200)) {
    MemoryLoad load;
    load.wants = wants;
    load.cache = mebibytes(100);
    return load;
}

using KeeperTest = MemoryFixture;

Bytes sum_of(const memory::HostLedger& ledger) {
    Bytes sum;
    for (const auto& row : memory::rows_of(ledger)) sum += row.bytes;
    return sum;
}

TEST_F(KeeperTest, TakesIdleGuestsDownUntilAllOfThemFitTheHost) {
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) make_guest(name, idle());
    look_for(Seconds(300));
    Bytes balloons;
    for (const auto& vm : picture()->vms) {
        EXPECT_LT(vm.balloon, maximum) << vm.name;
        EXPECT_GE(vm.balloon, minimum);
        EXPECT_GE(vm.balloon, vm.working_set.size) << "never below its working set while the host is in no danger";
        balloons += vm.balloon;
    }
    EXPECT_LE(balloons, gibibytes(4) - mebibytes(600)) << "guests that all take what they have still fit";
    EXPECT_EQ(sum_of(picture()->ledger), gibibytes(4)) << "every byte is somewhere";
    EXPECT_LT(std::abs(picture()->ledger.unexplained / gibibytes(4)), 0.02);
    EXPECT_EQ(picture()->level, memory::Level::comfortable);
    EXPECT_EQ(picture()->sight, Sight::full);
    EXPECT_THAT(told("host.balloons_moved"), Contains(AllOf(HasSubstr("VMs give"), HasSubstr("(idle)"))));
    EXPECT_THAT(picture()->risk.words, HasSubstr("p99 demand leaves"));
}

/// 200 MiB, and 850 MiB from 400 s on.
MemoryLoad sleeper(Timestamp now) {
    MemoryLoad load = idle();
    load.pattern = MemoryPattern::step;
    load.step_to = mebibytes(850);
    load.step_at = now + Seconds(400);
    return load;
}
constexpr double all_it_wants = 850.0 * 1024 * 1024;

TEST_F(KeeperTest, GivesAGuestThatWakesItsMemoryBack) {
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle());
    make_guest("sleeper", sleeper(cluster.world->now()));
    look_for(Seconds(380));
    ASSERT_LT(guest("sleeper").balloon, all_it_wants);
    look_for(Seconds(70));
    EXPECT_GE(guest("sleeper").balloon, all_it_wants);
    EXPECT_EQ(guest("sleeper").oom_kills, 0);
    EXPECT_LT(guest("sleeper").swapped, 1024.0 * 1024) << "it has all of its memory again";
    EXPECT_EQ(cluster.world->pressure_of("h1")->oom_kills, 0);
}

TEST_F(KeeperTest, SqueezesNobodyForLongAfterTheDaemonWasKilled) {
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle());
    make_guest("sleeper", sleeper(cluster.world->now()));
    look_for(Seconds(300));
    ASSERT_LT(guest("sleeper").balloon, all_it_wants);
    keeper.reset();
    cluster.world->advance(Seconds(150));  // it wakes while no daemon runs
    begin();                               // nothing that was learned is known any more
    look_for(Seconds(60));
    EXPECT_GE(guest("sleeper").balloon, all_it_wants);
}

TEST_F(KeeperTest, GoesOnFromWhatWasKept) {
    make_guest("a", idle());
    look_for(Seconds(120));
    const std::string kept = keeper->kept();
    begin(kept);
    EXPECT_EQ(keeper->kept(), kept);
    begin("{\"memo\": 7}");
    look_for(Seconds(4));
    EXPECT_THAT(picture()->vms, SizeIs(1)) << "what can't be read is learned anew";
}

TEST_F(KeeperTest, ChangesNothingWhereThePolicyIsNone) {
    set_policy(MemoryPolicy::none);
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) make_guest(name, idle());
    const auto ksm = run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings;
    look_for(Seconds(120));
    EXPECT_THAT(picture()->vms, SizeIs(6)) << "it is watched all the same";
    for (const auto& vm : picture()->vms) {
        EXPECT_EQ(vm.balloon, maximum);
        EXPECT_EQ(vm.left_alone, "the host's memory policy is none");
    }
    EXPECT_EQ(run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings, ksm);
    EXPECT_THAT(told("host.balloons_moved"), IsEmpty());
}

TEST_F(KeeperTest, NeverMovesTheBalloonOfAVmWithoutAPolicy) {
    make_guest("adopted", idle(), R"(,"memory_policy":"none")");
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle());
    look_for(Seconds(200));
    EXPECT_EQ(picture_of("adopted").balloon, maximum);
    EXPECT_EQ(picture_of("adopted").left_alone, "its memory policy is none");
    EXPECT_LT(picture_of("a").balloon, maximum);
}

TEST_F(KeeperTest, TakesOutAGuestWhoseBalloonSticks) {
    const VmId stuck = make_guest("stuck", idle());
    cluster.world->faults().set_guest(stuck, {.sticks = true});
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle());
    look_for(Seconds(300));
    EXPECT_THAT(told("vm.balloon_left_alone"), Contains(HasSubstr("balloon")));
    EXPECT_THAT(picture_of("stuck").left_alone, Not(IsEmpty()));
    EXPECT_THAT(picture_of("a").left_alone, IsEmpty());
}

TEST_F(KeeperTest, CountsAGuestThatLiesOrSaysNothingAtFullSize) {
    cluster.world->faults().set_guest(make_guest("liar", idle()), {.claims_unused = gibibytes(2)});
    cluster.world->faults().set_guest(make_guest("mute", idle()), {.no_driver = true});
    const VmId old = make_guest("old", idle());
    for (const char* name : {"a", "b", "c"}) make_guest(name, idle());
    look_for(Seconds(10));
    cluster.world->faults().set_guest(old, {.silent = true});
    look_for(Seconds(120));
    EXPECT_EQ(picture_of("liar").working_set.trust, memory::Trust::implausible);
    EXPECT_EQ(picture_of("old").working_set.trust, memory::Trust::old);
    EXPECT_NE(picture_of("mute").working_set.trust, memory::Trust::trusted);
    for (const char* name : {"liar", "mute", "old"}) {
        EXPECT_THAT(picture_of(name).working_set.why, Not(IsEmpty())) << name;
        EXPECT_EQ(picture_of(name).working_set.size, maximum) << name;
    }
    EXPECT_EQ(picture_of("liar").balloon, maximum) << "it is not squeezed by what it says";
}

TEST_F(KeeperTest, StandsBackWhereSomebodyElseMovesABalloon) {
    const VmId id = make_guest("shared", idle());
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle());
    look_for(Seconds(200));
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(cluster.world->faults().set_balloon("h1", id, mebibytes(1'000)));
        look_for(Seconds(40));
    }
    EXPECT_THAT(picture_of("shared").left_alone, HasSubstr("somebody else"));
    EXPECT_THAT(told("vm.balloon_left_alone"), Contains(HasSubstr("somebody else")));
}

TEST_F(KeeperTest, NamesAnotherOneThatTunesPageMerging) {
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle(mebibytes(700)));
    look_for(Seconds(30));
    ASSERT_TRUE(cluster.world->faults().set_ksm("h1", {.pages_to_scan = 7'777, .sleep_ms = 20}));
    look_for(Seconds(60));
    EXPECT_EQ(picture()->ksm.state, memory::KsmState::foreign);
    EXPECT_THAT(told("host.ksm"), Contains(HasSubstr("7777")));
    EXPECT_THAT(picture()->standing_back, HasSubstr("7777"));
    EXPECT_EQ(run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings.pages_to_scan,
              7'777)
        << "it is not fought";
}

TEST_F(KeeperTest, BlamesNobodyForSettingsOfWhichItDoesNotKnowWhetherTheyWereMade) {
    using drivers::simulated::Call;
    using drivers::simulated::When;
    for (const When when : {When::before_effect, When::after_effect}) {
        cluster.world->faults().fail_next("h1", Call::set_ksm, Error(Code::unavailable, "libvirtd restarts"), when);
        for (const char* name : {"a", "b", "c", "d", "e"})
            make_guest(name + std::to_string(static_cast<int>(when)), idle(mebibytes(700)));
        look_for(Seconds(60));
        EXPECT_THAT(told("host.ksm"), Contains(HasSubstr("libvirtd restarts")));
        EXPECT_NE(picture()->ksm.state, memory::KsmState::foreign) << picture()->standing_back;
        EXPECT_THAT(told("host.ksm"), Not(Contains(HasSubstr("somebody else"))));
        set_policy(MemoryPolicy::none);  // and once more from the beginning
        look_for(Seconds(20));
        set_policy(MemoryPolicy::balanced);
    }
}

TEST_F(KeeperTest, TakesNothingForDoneThatItMayNotCarryOut) {
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle(mebibytes(700)));
    change_host([](Host& host) { host.managed = false; });
    look_for(Seconds(300));
    for (const auto& vm : picture()->vms) EXPECT_EQ(vm.balloon, gibibytes(1)) << vm.name;
    change_host([](Host& host) { host.managed = true; });
    look_for(Seconds(60));
    EXPECT_NE(picture()->ksm.state, memory::KsmState::foreign) << picture()->standing_back;
    EXPECT_THAT(told("host.ksm"), IsEmpty());
    for (const auto& vm : picture()->vms) {
        EXPECT_EQ(vm.left_alone, "") << vm.name;
        EXPECT_LT(vm.balloon, gibibytes(1)) << vm.name;
    }
}

TEST_F(KeeperTest, ShowsWhatKsmIsSetToWhatBallastSetWhatItFoundAndWhoElseSetsIt) {
    const auto settings = [this] {
        return run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings;
    };
    const auto found = settings();
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle(mebibytes(700)));
    set_policy(MemoryPolicy::none);
    look_for(Seconds(20));
    EXPECT_EQ(picture()->merging.now, found) << "read, although nothing is set";
    EXPECT_FALSE(picture()->merging.managed);
    EXPECT_FALSE(picture()->merging.set || picture()->merging.found);
    set_policy(MemoryPolicy::balanced);
    look_for(Seconds(20));
    ASSERT_NE(settings(), found) << "it tunes";
    EXPECT_EQ(picture()->merging.now, settings());
    EXPECT_TRUE(picture()->merging.managed);
    EXPECT_EQ(picture()->merging.set, settings().pages_to_scan);
    EXPECT_EQ(picture()->merging.found->pages_to_scan, found.pages_to_scan);
    ASSERT_TRUE(cluster.world->faults().set_ksm("h1", {.pages_to_scan = 7'777, .sleep_ms = 30}));
    look_for(Seconds(60));
    EXPECT_EQ(picture()->merging.now->pages_to_scan, 7'777);
    EXPECT_EQ(picture()->merging.now->sleep_ms, 30);
    EXPECT_FALSE(picture()->merging.managed);
    EXPECT_GT(picture()->merging.stands_back_until, picture()->at);
}

TEST_F(KeeperTest, SaysThatTheKernelsAdvisorTunesPageMerging) {
    cluster.world->faults().advise_ksm("h1", true);
    for (const char* name : {"a", "b", "c", "d", "e"}) make_guest(name, idle(mebibytes(700)));
    look_for(Seconds(60));
    EXPECT_THAT(told("host.ksm"), Not(IsEmpty()));
    EXPECT_THAT(picture()->standing_back, Not(IsEmpty()));
}

TEST_F(KeeperTest, PutsBackWhatItFoundWhenTheHostIsNoLongerKept) {
    sharing = "debian";
    shared = mebibytes(400);
    const auto settings = [this] {
        return run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings;
    };
    const auto found = settings();
    for (const char* name : {"a", "b", "c", "d"}) make_guest(name, idle(mebibytes(650)));
    look_for(Seconds(60));
    ASSERT_NE(settings(), found) << "it tunes";
    set_policy(MemoryPolicy::none);
    look_for(Seconds(20));
    EXPECT_EQ(settings(), found);
}

TEST_F(KeeperTest, KnowsWhatItFoundAlsoWhenItWasKilledRightAfterItsFirstChange) {
    const auto settings = [this] {
        return run(*cluster.io, (*cluster.registry->reachable(host_id()))->memory().read())->ksm->settings;
    };
    const auto found = settings();
    for (const char* name : {"a", "b", "c", "d"}) make_guest(name, idle(mebibytes(650)));
    look_for(Seconds(20));
    ASSERT_NE(settings(), found) << "it tunes";
    const auto kept = run(*cluster.io, cluster.store->kept(overcommit::kept_under));
    ASSERT_TRUE(kept && kept->contains(host_id().str()));
    begin(kept->at(host_id().str()));
    set_policy(MemoryPolicy::none);  // before it has looked once
    look_for(Seconds(20));
    EXPECT_EQ(settings(), found) << "not what it had set itself";
}

TEST_F(KeeperTest, GivesGuestsTheirMemoryBackAsFarAsThereIsAny) {
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) make_guest(name, idle());
    look_for(Seconds(300));
    const double before = guest("a").balloon;
    ASSERT_TRUE(run(*cluster.io, keeper->give_back()));
    cluster.world->advance(Seconds(10));
    look_for(Seconds(20));
    EXPECT_GT(guest("a").balloon, before) << "and nothing takes it away again";
    EXPECT_EQ(cluster.world->pressure_of("h1")->oom_kills, 0);
}

TEST_F(KeeperTest, ClimbsTheLadderWhenTheHostsMemoryShrinks) {
    for (const char* name : {"a", "b", "c", "d"}) make_guest(name, idle(mebibytes(600)));
    look_for(Seconds(60));
    ASSERT_EQ(picture()->level, memory::Level::comfortable);
    cluster.world->faults().set_memory("h1", gibibytes(3));
    look_for(Seconds(30));
    EXPECT_GE(picture()->level, memory::Level::pressed);
    EXPECT_FALSE(picture()->admits);
    EXPECT_THAT(asked_for_moves, Not(IsEmpty()));
    EXPECT_THAT(told("host.memory_level"), Contains(HasSubstr("was comfortable")));
    EXPECT_THAT(told("host.memory_act"), Contains(HasSubstr("ask planner")));
    EXPECT_EQ(cluster.world->pressure_of("h1")->oom_kills, 0);
}

/// Dense may suspend, and one guest lets it.
class LastResort : public MemoryFixture {
  public:
    LastResort() {
        set_policy(MemoryPolicy::dense);
        cluster.world->faults().set_save_room("h1", gibibytes(20));
        make_guest("a", idle(mebibytes(800)), R"(,"memory_policy":"dense")");
        make_guest("b", idle(mebibytes(800)), R"(,"memory_policy":"dense")");
        make_guest("batch", idle(mebibytes(800)),
                   R"(,"memory_policy":"dense","overcommit":{"priority":-5,"may_suspend":true})");
        see = [this] {
            overcommit::Seen seen;
            seen.strain = {.pressure = strain, .swap_in = BytesPerSecond(0)};
            if (room.count() > 0)
                seen.reading = overcommit::ExporterReading{.filesystems = {{.mount_point = "/", .available = room}}};
            return std::optional(seen);
        };
        look_for(Seconds(30));
        strain = 0.6;  // of the time something waits for memory
    }
    double strain = 0;
    Bytes room;
};

TEST_F(LastResort, SuspendsTheLowestPriorityAndItGoesOnWhereItWas) {
    room = gibibytes(20);
    look_for(Seconds(20));
    EXPECT_EQ(picture()->level, memory::Level::critical);
    EXPECT_EQ(cluster.vm("batch")->state, VmState::running) << "not before it was critical for a while";
    look_for(Seconds(20));
    ASSERT_TRUE(cluster.until([this] { return cluster.vm("batch")->state == VmState::stopped; }));
    EXPECT_THAT(told("vm.suspended_as_last_resort"), SizeIs(1));
    EXPECT_THAT(cluster.vm("batch")->definitions.front().bound_by, ElementsAre("managed save"));
    EXPECT_EQ(cluster.vm("a")->state, VmState::running);
    strain = 0;
    const auto started = cluster.do_job("vm.start", "batch", "{}");
    ASSERT_TRUE(started && started->state == JobState::succeeded);
    ASSERT_TRUE(cluster.until([this] { return cluster.vm("batch")->definitions.front().bound_by.empty(); }));
}

TEST_F(LastResort, IsNotTakenWithoutRoomOnDisk) {
    room = mebibytes(500);
    look_for(Seconds(90));
    EXPECT_EQ(cluster.vm("batch")->state, VmState::running) << "its memory does not fit";
}

TEST_F(LastResort, IsNotTakenWhereThePolicyForbidsIt) {
    room = gibibytes(20);
    set_policy(MemoryPolicy::balanced);
    look_for(Seconds(90));
    EXPECT_EQ(picture()->level, memory::Level::critical);
    EXPECT_EQ(cluster.vm("batch")->state, VmState::running);
}

TEST_F(LastResort, IsNotTakenWhereNobodySaysWhatRoomThereIs) {
    look_for(Seconds(90));
    EXPECT_EQ(picture()->level, memory::Level::critical);
    EXPECT_EQ(cluster.vm("batch")->state, VmState::running) << "no exporter says what room is left on disk";
}

}  // namespace
}  // namespace ballast::testing
