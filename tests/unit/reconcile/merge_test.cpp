// What hosts say of a VM, and what the inventory says after it: the table of merge.h.
#include "tests/unit/reconcile/merge_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

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
                      Transition{VmState::stopped, DomainState::paused, VmState::paused, "vm.started"},
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

TEST_F(Merge, AMoveThatARestoredStoreKnowsNothingOfIsFollowedAndMakesItObserveOnly) {
    const Vm yesterday = a_vm().on("h1").running().epoch(1).build();
    const std::vector<HostSaid> today{absent("h1"), defined("h2", stamped(a_view(DomainState::running), 2))};
    const Vm found = after(yesterday, today);
    EXPECT_EQ(found.host, HostId("h2"));
    EXPECT_EQ(found.epoch, 1U) << "the host's is ahead for as long as nobody decides";
    EXPECT_TRUE(alert::is_observe_only(found));
    EXPECT_TRUE(alert::is_observe_only(after(found, today)));
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

}  // namespace
}  // namespace ballast::reconcile
