// What hosts say of a VM, and what the inventory says after it: the table of merge.h.
#include "daemon/reconcile/merge.h"

#include <gmock/gmock.h>

#include "daemon/reconcile/alerts.h"
#include "tests/support/builders.h"

namespace ballast::reconcile {
namespace {

using ballast::test::a_host;
using ballast::test::a_vm;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string ours = "this-cluster";
const Timestamp noon{std::chrono::hours(12)};

drivers::DomainView a_view(DomainState state, std::string name = "web1") {
    drivers::DomainView view;
    view.id = VmId(name);
    view.name = std::move(name);
    view.state = state;
    view.state_reason = "seen";
    view.spec = a_vm("web1").spec();
    if (is_active(state)) view.balloon = mebibytes(512);
    return view;
}

drivers::DomainView stamped(drivers::DomainView view, std::uint64_t epoch, std::string cluster = ours) {
    view.stamp = drivers::Stamp{std::move(cluster), HostId("h1"), epoch};
    return view;
}

HostSaid defined(std::string host, drivers::DomainView view) {
    return {HostId(std::move(host)), HostSaid::Kind::defined, std::move(view), noon};
}
HostSaid defined(std::string host, DomainState state) {
    return defined(std::move(host), a_view(state));
}
HostSaid absent(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::absent, std::nullopt, noon};
}
HostSaid unreachable(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::unreachable, std::nullopt, noon};
}
HostSaid removed(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::removed, std::nullopt, noon};
}

class Merge : public ::testing::Test {
  protected:
    Merge() {
        for (const auto* name : {"h1", "h2", "h3"}) hosts.put(a_host(name).build());
    }
    MergeContext context() {
        return {.cluster = ours, .now = noon, .hosts = hosts, .proven = proven, .searched = searched};
    }
    Merged merged(std::optional<Vm> row, std::vector<HostSaid> said) { return merge(row, said, context()); }
    Vm after(const Vm& row, std::vector<HostSaid> said) {
        auto result = merged(row, std::move(said));
        EXPECT_FALSE(result.doubtful);
        EXPECT_TRUE(result.row);
        kinds.clear();
        for (const auto& note : result.notes) kinds.push_back(note.kind);
        if (!result.row) return {};
        return *result.row;
    }
    void confirm_dead(const std::string& host) { hosts.put(a_host(host).confirmed_dead().build()); }

    Table<Host> hosts;
    bool proven = false;
    bool searched = true;
    std::vector<std::string> kinds;
};

TEST_F(Merge, AdoptsAnUnknownDomainAsAnObservedVm) {
    const auto result = merged(std::nullopt, {defined("h1", DomainState::running)});
    ASSERT_TRUE(result.row);
    const Vm& vm = *result.row;
    EXPECT_FALSE(vm.managed);
    EXPECT_FALSE(vm.created_by_ballast);
    EXPECT_EQ(vm.name, "web1");
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_EQ(vm.state, VmState::running);
    EXPECT_EQ(vm.balloon, mebibytes(512));
    EXPECT_EQ(vm.spec.memory_policy, MemoryPolicy::none);
    EXPECT_EQ(vm.spec.moves, MovePolicy::ask);
    EXPECT_EQ(vm.created, noon);
    EXPECT_THAT(vm.alerts, IsEmpty());
    EXPECT_EQ(result.notes.front().kind, "vm.defined");
}

TEST_F(Merge, ANewHostsDomainsAreDiscoveredNotDefined) {
    MergeContext listing = context();
    listing.host_is_new = true;
    const auto result = merge(std::nullopt, {defined("h1", DomainState::running)}, listing);
    EXPECT_THAT(result.notes, ElementsAre(Note{"vm.discovered", "web1 was found on h1, running"}));
}

TEST_F(Merge, SaysNothingOfADomainThatNobodyDefines) {
    const auto result = merged(std::nullopt, {absent("h1"), unreachable("h2")});
    EXPECT_FALSE(result.row);
    EXPECT_THAT(result.notes, IsEmpty());
}

struct Transition {
    VmState before;
    DomainState seen;
    VmState after;
    std::string kind;
};

class MergeTransition : public Merge, public ::testing::WithParamInterface<Transition> {};

TEST_P(MergeTransition, FollowsTheHost) {
    const auto& [before, seen, expected, kind] = GetParam();
    Vm row = a_vm().on("h1").state(before).build();
    const Vm vm = after(row, {defined("h1", seen)});
    EXPECT_EQ(vm.state, expected);
    if (kind.empty())
        EXPECT_EQ(vm.state_since, row.state_since);
    else
        EXPECT_THAT(kinds, Contains(kind));
    EXPECT_THAT(merged(vm, {defined("h1", seen)}).notes, IsEmpty()) << "the same again is no news";
}

INSTANTIATE_TEST_SUITE_P(
    Table, MergeTransition,
    ::testing::Values(Transition{VmState::stopped, DomainState::running, VmState::running, "vm.started"},
                      Transition{VmState::running, DomainState::shut_off, VmState::stopped, "vm.stopped"},
                      Transition{VmState::running, DomainState::paused, VmState::paused, "vm.paused"},
                      Transition{VmState::paused, DomainState::running, VmState::running, "vm.resumed"},
                      Transition{VmState::running, DomainState::crashed, VmState::crashed, "vm.crashed"},
                      Transition{VmState::running, DomainState::suspended, VmState::paused, "vm.paused"},
                      Transition{VmState::running, DomainState::shutting_down, VmState::stopping, "vm.changed"},
                      Transition{VmState::running, DomainState::running, VmState::running, ""},
                      Transition{VmState::missing, DomainState::shut_off, VmState::stopped, "vm.found"},
                      Transition{VmState::starting, DomainState::shut_off, VmState::stopped, "vm.stopped"},
                      Transition{VmState::migrating, DomainState::running, VmState::running, "vm.migration_ended"}));

struct HeldState {
    VmState before;
    DomainState seen;
    VmState after;
};

class MergeDuringAJob : public Merge, public ::testing::WithParamInterface<HeldState> {};

TEST_P(MergeDuringAJob, KeepsTheJobsStateUntilItsEndIsSeen) {
    Vm row = a_vm().on("h1").state(GetParam().before).build();
    row.job = JobId("j1");
    EXPECT_EQ(after(row, {defined("h1", GetParam().seen)}).state, GetParam().after);
}

INSTANTIATE_TEST_SUITE_P(Table, MergeDuringAJob,
                         ::testing::Values(HeldState{VmState::creating, DomainState::shut_off, VmState::creating},
                                           HeldState{VmState::creating, DomainState::running, VmState::running},
                                           HeldState{VmState::starting, DomainState::shut_off, VmState::starting},
                                           HeldState{VmState::starting, DomainState::paused, VmState::starting},
                                           HeldState{VmState::starting, DomainState::running, VmState::running},
                                           HeldState{VmState::stopping, DomainState::running, VmState::stopping},
                                           HeldState{VmState::stopping, DomainState::shut_off, VmState::stopped},
                                           HeldState{VmState::migrating, DomainState::paused, VmState::migrating},
                                           HeldState{VmState::deleting, DomainState::shut_off, VmState::deleting},
                                           HeldState{VmState::running, DomainState::shut_off, VmState::stopped}));

TEST_F(Merge, AJobDecidesWhenItsVmIsDefinedNowhere) {
    Vm row = a_vm().on("h1").state(VmState::deleting).build();
    row.job = JobId("j1");
    const Vm vm = after(row, {absent("h1")});
    EXPECT_EQ(vm.state, VmState::deleting);
    EXPECT_THAT(vm.definitions, IsEmpty());
}

TEST_F(Merge, AnObservedVmLeavesWithItsLastDefinition) {
    const auto result = merged(a_vm().observed().on("h1").build(), {absent("h1")});
    EXPECT_FALSE(result.row);
    EXPECT_EQ(result.notes.front().kind, "vm.removed_outside");
}

TEST_F(Merge, AVmThatIsDefinedNowhereIsSearchedForBeforeItIsBelievedGone) {
    searched = false;
    for (const Vm& row : {a_vm().observed().on("h1").build(), a_vm().on("h1").running().build()}) {
        const auto result = merged(row, {absent("h1")});
        EXPECT_TRUE(result.vanished);
        EXPECT_EQ(result.row, row);
        EXPECT_THAT(result.notes, IsEmpty());
        const Vm moved = after(row, {absent("h1"), defined("h2", DomainState::running)});
        EXPECT_EQ(moved.host, HostId("h2"));
    }
}

TEST_F(Merge, AManagedVmIsMissingAndNeverDropped) {
    const Vm vm = after(a_vm().on("h1").running().build(), {absent("h1")});
    EXPECT_EQ(vm.state, VmState::missing);
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_THAT(vm.alerts, ElementsAre(StartsWith("missing: h1 no longer defines it")));
    EXPECT_THAT(kinds, Contains("vm.missing"));
    const Vm back = after(vm, {defined("h1", DomainState::shut_off)});
    EXPECT_EQ(back.state, VmState::stopped);
    EXPECT_THAT(back.alerts, IsEmpty());
    EXPECT_THAT(kinds, Contains("vm.alert_cleared"));
}

TEST_F(Merge, LastSeenActiveOnALostHostIsUnknown) {
    const Vm vm = after(a_vm().on("h1").running().build(), {unreachable("h1")});
    EXPECT_EQ(vm.state, VmState::unknown);
    EXPECT_EQ(vm.state_reason, "last seen running on h1, which can't be asked now");
    EXPECT_TRUE(vm.definitions.front().stale_view);
    EXPECT_THAT(kinds, Contains("vm.unknown"));
}

TEST_F(Merge, AStoppedVmOfALostHostStaysStopped) {
    const Vm vm = after(a_vm().on("h1").build(), {unreachable("h1")});
    EXPECT_EQ(vm.state, VmState::stopped);
    EXPECT_TRUE(vm.definitions.front().stale_view);
}

TEST_F(Merge, AnUnknownVmReturnsToTruth) {
    const Vm unknown = after(a_vm().on("h1").running().build(), {unreachable("h1")});
    EXPECT_EQ(after(unknown, {defined("h1", DomainState::running)}).state, VmState::running);
    EXPECT_THAT(kinds, Contains("vm.found"));
    EXPECT_EQ(after(unknown, {defined("h1", DomainState::shut_off)}).state, VmState::stopped);
    EXPECT_THAT(kinds, Contains("vm.stopped"));
}

TEST_F(Merge, TwoActiveCopiesAreDoubtfulUntilProven) {
    const Vm row = a_vm().on("h1").running().build();
    const auto doubtful = merged(row, {defined("h2", DomainState::running)});
    EXPECT_TRUE(doubtful.doubtful);
    EXPECT_EQ(doubtful.row, row);
    proven = true;
    const Vm vm = after(row, {defined("h1", DomainState::running), defined("h2", DomainState::running)});
    EXPECT_EQ(vm.state, VmState::conflict);
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_THAT(vm.alerts, ElementsAre(StartsWith("conflict: active on h1 and h2")));
    EXPECT_THAT(kinds, Contains("vm.conflict"));
}

TEST_F(Merge, AConflictEndsWhenOneCopyDoes) {
    proven = true;
    const Vm conflict = after(a_vm().on("h1").running().build(),
                              {defined("h1", DomainState::running), defined("h2", DomainState::running)});
    proven = false;
    const Vm vm = after(conflict, {defined("h2", DomainState::shut_off)});
    EXPECT_EQ(vm.state, VmState::running);
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_THAT(vm.alerts, ElementsAre(StartsWith("stale definition: h2")));
}

TEST_F(Merge, AConflictStaysWhileOneOfItsHostsIsSilent) {
    proven = true;
    const Vm conflict = after(a_vm().on("h1").running().build(),
                              {defined("h1", DomainState::running), defined("h2", DomainState::running)});
    EXPECT_EQ(after(conflict, {unreachable("h2")}).state, VmState::conflict);
    EXPECT_EQ(after(conflict, {unreachable("h1")}).state, VmState::conflict);
}

TEST_F(Merge, ARealDoubleIsAConflictEvenDuringAJob) {
    Vm row = a_vm().on("h1").running().state(VmState::migrating).build();
    row.job = JobId("j1");
    proven = true;
    EXPECT_EQ(after(row, {defined("h1", DomainState::running), defined("h2", DomainState::running)}).state,
              VmState::conflict);
}

TEST_F(Merge, ASourceThatIsPausedForItsJobIsNoConflict) {
    Vm row = a_vm().on("h1").running().state(VmState::migrating).build();
    row.job = JobId("j1");
    EXPECT_EQ(after(row, {defined("h1", DomainState::paused), defined("h2", DomainState::running)}).state,
              VmState::migrating);
}

struct PairCase {
    DomainState source;
    DomainState target;
    bool is_pair;
};
class MigrationPair : public Merge, public ::testing::WithParamInterface<PairCase> {};

TEST_P(MigrationPair, IsToldFromAConflict) {
    EXPECT_EQ(is_migration_pair(GetParam().source, GetParam().target), GetParam().is_pair);
    EXPECT_EQ(is_migration_pair(GetParam().target, GetParam().source), GetParam().is_pair);
}
INSTANTIATE_TEST_SUITE_P(Table, MigrationPair,
                         ::testing::Values(PairCase{DomainState::running, DomainState::incoming, true},
                                           PairCase{DomainState::paused, DomainState::incoming, true},
                                           PairCase{DomainState::postcopy_source, DomainState::postcopy_target, true},
                                           PairCase{DomainState::postcopy_source, DomainState::running, true},
                                           PairCase{DomainState::postcopy_failed, DomainState::postcopy_failed, true},
                                           PairCase{DomainState::running, DomainState::running, false},
                                           PairCase{DomainState::paused, DomainState::running, false},
                                           PairCase{DomainState::running, DomainState::postcopy_target, false},
                                           PairCase{DomainState::incoming, DomainState::incoming, false},
                                           PairCase{DomainState::crashed, DomainState::running, false}));

TEST_F(Merge, AMoveDoneOutsideIsFollowed) {
    const Vm row = a_vm().on("h1").running().epoch(4).build();
    const Vm moving = after(row, {defined("h2", DomainState::incoming)});
    EXPECT_EQ(moving.state, VmState::migrating);
    EXPECT_EQ(moving.host, HostId("h1"));
    const Vm arrived = after(moving, {absent("h1"), defined("h2", stamped(a_view(DomainState::running), 4))});
    EXPECT_EQ(arrived.state, VmState::running);
    EXPECT_EQ(arrived.host, HostId("h2"));
    EXPECT_EQ(arrived.epoch, 5U) << "each change of owner raises it";
    EXPECT_THAT(arrived.alerts, IsEmpty());
    EXPECT_THAT(kinds, Contains("vm.moved"));
}

TEST_F(Merge, AnIncomingCopyIsNotTheOwner) {
    Vm row = a_vm().observed().on("h1").running().build();
    EXPECT_EQ(after(row, {defined("h2", DomainState::incoming)}).host, HostId("h1"));
    EXPECT_EQ(after(row, {defined("h1", DomainState::running), defined("h2", DomainState::incoming)}).host,
              HostId("h1"));
}

TEST_F(Merge, OwnerAndEpochAreTheJobsWhileOneRuns) {
    Vm row = a_vm().on("h1").running().state(VmState::migrating).epoch(4).build();
    row.job = JobId("j1");
    const Vm vm = after(row, {absent("h1"), defined("h2", stamped(a_view(DomainState::running), 5))});
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_EQ(vm.epoch, 4U);
    EXPECT_THAT(vm.alerts, IsEmpty()) << "the job stamps before it tells the store";
}

TEST_F(Merge, AStaleDefinitionIsAnAlertUntilItIsGone) {
    const Vm row = a_vm().on("h2").running().epoch(5).build();
    const Vm vm = after(row, {defined("h1", stamped(a_view(DomainState::shut_off), 4))});
    EXPECT_EQ(vm.host, HostId("h2"));
    EXPECT_EQ(vm.state, VmState::running);
    EXPECT_THAT(vm.alerts, ElementsAre("stale definition: h1 still defines it (epoch 4); the owner is h2 (epoch 5)"));
    EXPECT_THAT(after(vm, {absent("h1")}).alerts, IsEmpty());
}

TEST_F(Merge, ACopyStartedOutsideOnAnotherHostIsWhereTheVmRuns) {
    const Vm row = a_vm().on("h1").also_defined_on("h2", DomainState::shut_off).epoch(3).build();
    const Vm vm = after(row, {defined("h2", DomainState::running)});
    EXPECT_EQ(vm.state, VmState::running) << "so that nothing starts the other one";
    EXPECT_EQ(vm.host, HostId("h2"));
    EXPECT_EQ(vm.epoch, 4U);
}

TEST_F(Merge, AForeignClustersStampMakesItObserveOnly) {
    const Vm vm = after(a_vm().on("h1").epoch(2).build(),
                        {defined("h1", stamped(a_view(DomainState::shut_off), 2, "another-cluster"))});
    EXPECT_TRUE(vm.managed) << "the operator's decision stands";
    EXPECT_TRUE(alert::is_observe_only(vm));
    EXPECT_THAT(vm.alerts, ElementsAre(HasSubstr("belongs to cluster another-cluster")));
    EXPECT_FALSE(alert::is_observe_only(after(vm, {defined("h1", stamped(a_view(DomainState::shut_off), 2))})));
}

TEST_F(Merge, AHigherEpochThanTheStoresMakesItObserveOnly) {
    const Vm row = a_vm().on("h1").epoch(2).build();
    const Vm vm = after(row, {defined("h1", stamped(a_view(DomainState::shut_off), 3))});
    EXPECT_TRUE(alert::is_observe_only(vm));
    EXPECT_EQ(vm.epoch, 2U);
    EXPECT_FALSE(alert::is_observe_only(after(row, {defined("h1", stamped(a_view(DomainState::shut_off), 1))})));
}

TEST_F(Merge, OwnStampOnAnUnknownVmIsAnAlert) {
    const auto result = merged(std::nullopt, {defined("h1", stamped(a_view(DomainState::running), 7))});
    EXPECT_FALSE(result.row->managed);
    EXPECT_EQ(result.row->epoch, 7U) << "so that an adoption goes on from there";
    EXPECT_TRUE(alert::is_observe_only(*result.row));
}

TEST_F(Merge, ADifferingDefinitionOfAMadeVmIsAnAlertAndTheSpecStays) {
    const Vm row = a_vm().on("h1").vcpus(1).build();
    drivers::DomainView view = a_view(DomainState::shut_off);
    view.spec.vcpus = 2;
    view.spec.memory = gibibytes(1);
    const Vm vm = after(row, {defined("h1", view)});
    EXPECT_EQ(vm.spec, row.spec);
    EXPECT_THAT(vm.alerts, ElementsAre("definition differs: vcpus 1 -> 2; memory 512 MiB -> 1 GiB (spec -> host)"));
    EXPECT_EQ(after(vm, {unreachable("h2")}).alerts, vm.alerts) << "another host's word does not take it back";
    EXPECT_THAT(after(vm, {defined("h1", DomainState::shut_off)}).alerts, IsEmpty());
}

TEST_F(Merge, TheSpecOfAnAdoptedVmFollowsTheHostButBallastsOwnFieldsStay) {
    Vm row = a_vm().on("h1").build();
    row.created_by_ballast = false;
    row.spec.labels["team"] = "shop";
    row.spec.moves = MovePolicy::never;
    drivers::DomainView view = a_view(DomainState::shut_off, "web1");
    view.name = "renamed";
    view.spec.vcpus = 4;
    const Vm vm = after(row, {defined("h1", view)});
    EXPECT_EQ(vm.spec.vcpus, 4);
    EXPECT_EQ(vm.name, "renamed");
    EXPECT_EQ(vm.spec.labels.at("team"), "shop");
    EXPECT_EQ(vm.spec.moves, MovePolicy::never);
    EXPECT_THAT(vm.alerts, IsEmpty());
    EXPECT_THAT(kinds, ElementsAre("vm.changed", "vm.changed"));
}

TEST_F(Merge, ABalloonThatMovesIsAnEvent) {
    Vm row = after(a_vm().on("h1").build(), {defined("h1", DomainState::running)});
    EXPECT_EQ(row.balloon, mebibytes(512));
    drivers::DomainView view = a_view(DomainState::running);
    view.balloon = mebibytes(256);
    const auto result = merged(row, {defined("h1", view)});
    EXPECT_THAT(result.notes, ElementsAre(Note{"vm.balloon_changed", "web1: balloon 512 MiB -> 256 MiB"}));
    EXPECT_EQ(after(*result.row, {defined("h1", DomainState::shut_off)}).balloon, Bytes(0));
}

TEST_F(Merge, UndefinedWhileItRunsIsAnEvent) {
    const Vm row = a_vm().on("h1").running().build();
    drivers::DomainView view = a_view(DomainState::running);
    view.persistent = false;
    after(row, {defined("h1", view)});
    EXPECT_THAT(kinds, Contains("vm.undefined"));
}

TEST_F(Merge, AnotherMakersAlertsStay) {
    Vm row = a_vm().on("h1").build();
    row.alerts = {"restarted from its disk"};
    EXPECT_THAT(after(row, {absent("h1")}).alerts, Contains("restarted from its disk"));
}

TEST_F(Merge, TheReleaseOfADeadHostFreesItsVm) {
    const Vm row = after(a_vm().on("h1").running().epoch(3).build(), {unreachable("h1")});
    const Vm vm = released(row, HostId("h1"), "burnt", noon);
    EXPECT_EQ(vm.state, VmState::stopped);
    EXPECT_EQ(vm.state_reason, "host confirmed dead: burnt");
    EXPECT_EQ(vm.host, std::nullopt);
    EXPECT_EQ(vm.epoch, 4U);
    confirm_dead("h1");
    EXPECT_EQ(after(vm, {unreachable("h1")}), vm);
    EXPECT_EQ(released(row, HostId("h2"), "burnt", noon), row) << "another host's VM is left alone";
}

TEST_F(Merge, AVmThatAJobHeldIsReleasedAtTheNextLook) {
    Vm row = after(a_vm().on("h1").running().epoch(3).build(), {unreachable("h1")});
    row.job = JobId("j1");
    EXPECT_EQ(released(row, HostId("h1"), "burnt", noon), row);
    confirm_dead("h1");
    row.job.reset();
    const Vm vm = after(row, {unreachable("h1")});
    EXPECT_EQ(vm.state, VmState::stopped);
    EXPECT_EQ(vm.host, std::nullopt);
}

TEST_F(Merge, AReleasedVmRunsElsewhereAndTheDeadHostsCopyIsStale) {
    const Vm lost = after(a_vm().on("h1").running().epoch(3).build(), {unreachable("h1")});
    confirm_dead("h1");
    const Vm moved =
        after(released(lost, HostId("h1"), "burnt", noon), {defined("h2", stamped(a_view(DomainState::running), 4))});
    EXPECT_EQ(moved.state, VmState::running);
    EXPECT_EQ(moved.host, HostId("h2"));
    EXPECT_THAT(moved.alerts, ElementsAre(StartsWith("stale definition: h1")));
    proven = true;
    const Vm back = after(moved, {defined("h1", DomainState::running), defined("h2", DomainState::running)});
    EXPECT_EQ(back.state, VmState::conflict);
}

TEST_F(Merge, AReleasedVmReturnsToItsHostWhenItComesBack) {
    const Vm lost = after(a_vm().on("h1").running().epoch(3).build(), {unreachable("h1")});
    confirm_dead("h1");
    const Vm vm =
        after(released(lost, HostId("h1"), "burnt", noon), {defined("h1", stamped(a_view(DomainState::running), 3))});
    EXPECT_EQ(vm.state, VmState::running);
    EXPECT_EQ(vm.host, HostId("h1"));
    EXPECT_EQ(vm.epoch, 5U);
}

TEST_F(Merge, AnActiveCopyOnASilentHostIsFearedBesideAStoppedOwner) {
    const Vm row = a_vm().on("h1").also_defined_on("h2", DomainState::running).build();
    const Vm vm = after(row, {defined("h1", DomainState::shut_off), unreachable("h2")});
    EXPECT_EQ(vm.state, VmState::unknown);
    EXPECT_THAT(vm.state_reason, HasSubstr("h2"));
}

TEST_F(Merge, ARunningOwnerStaysKnownBesideASilentOldHost) {
    const Vm row = a_vm().on("h2").running().also_defined_on("h1", DomainState::postcopy_source).build();
    const Vm vm = after(row, {unreachable("h1"), defined("h2", DomainState::running)});
    EXPECT_EQ(vm.state, VmState::running);
}

TEST_F(Merge, AVmIsForgottenWithItsRemovedHost) {
    hosts.put(a_host("h1").state(HostState::removed).build());
    const auto result = merged(a_vm().on("h1").running().build(), {removed("h1")});
    EXPECT_FALSE(result.row);
    EXPECT_EQ(result.notes.front().kind, "vm.forgotten");
}

TEST_F(Merge, ARemovedHostsRunningCopyIsFearedWhileOthersDefineTheVm) {
    const Vm row = a_vm().on("h1").running().also_defined_on("h2", DomainState::shut_off).build();
    hosts.put(a_host("h1").state(HostState::removed).build());
    EXPECT_EQ(after(row, {removed("h1")}).state, VmState::unknown);
}

TEST_F(Merge, WithoutAnOwnerTheHighestEpochIsIt) {
    Vm row = a_vm().on("h3").epoch(9).build();
    const Vm vm = after(row, {absent("h3"), defined("h1", stamped(a_view(DomainState::shut_off), 4)),
                              defined("h2", stamped(a_view(DomainState::shut_off), 8))});
    EXPECT_EQ(vm.host, HostId("h2"));
    EXPECT_EQ(vm.state, VmState::stopped);
}

TEST_F(Merge, ABrokenPostCopyWithoutAJobIsAnAlert) {
    const Vm row = a_vm().on("h1").running().build();
    const Vm vm =
        after(row, {defined("h1", DomainState::postcopy_failed), defined("h2", DomainState::postcopy_failed)});
    EXPECT_EQ(vm.state, VmState::migrating);
    EXPECT_TRUE(alert::has(vm, alert::broken_post_copy));
}

TEST(SpecDifference, IsEmptyWhereTheSpecLeavesTheChoiceToBallast) {
    VmSpec spec;
    spec.nics.push_back({.network = "default", .bridge = {}, .mac = {}});
    spec.disks.emplace_back().size = gibibytes(1);
    VmSpec on_host = spec;
    on_host.machine = "pc-q35-7.2";
    on_host.nics[0].mac = "52:54:00:00:00:01";
    on_host.disks[0].path = "/pools/a/web1.qcow2";
    on_host.boot.kernel = "/boot/kernel";
    EXPECT_EQ(spec_difference(spec, on_host), "");
    on_host.disks.emplace_back().path = "/pools/a/other";
    EXPECT_EQ(spec_difference(spec, on_host), "number of disks 1 -> 2");
}

}  // namespace
}  // namespace ballast::reconcile
