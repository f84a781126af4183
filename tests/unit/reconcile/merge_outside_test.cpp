// merge.h: what others do meanwhile, hosts that are dead or silent, and the parts of merge() by themselves.
#include "tests/unit/reconcile/merge_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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

TEST_F(Merge, AnAdoptedVmFollowsItsHostAndKeepsWhatOnlyBallastKnows) {
    Vm row = a_vm().on("h1").running().build();
    row.created_by_ballast = false;
    row.spec.labels["tier"] = "database";
    row.spec.moves = MovePolicy::never;
    row.spec.autostart = true;
    row.spec.migration.post_copy = false;
    row.spec.migration.max_downtime = Milliseconds(40);
    row.spec.overcommit = {.shares = 500, .priority = 3, .merge = true, .may_suspend = true};
    row.spec.placement.policy = "pack";
    auto view = a_view(DomainState::running);
    view.spec.vcpus = 7;
    view.spec.overcommit.merge = false;
    const Vm vm = after(row, {defined("h1", view)});
    EXPECT_EQ(vm.spec.vcpus, 7);
    EXPECT_EQ(vm.spec.labels, row.spec.labels);
    EXPECT_EQ(vm.spec.moves, MovePolicy::never);
    EXPECT_TRUE(vm.spec.autostart);
    EXPECT_EQ(vm.spec.migration, row.spec.migration) << "the leave for post-copy is the operator's alone";
    EXPECT_EQ(vm.spec.placement, row.spec.placement);
    EXPECT_EQ(vm.spec.overcommit.shares, 500);
    EXPECT_TRUE(vm.spec.overcommit.may_suspend);
    EXPECT_FALSE(vm.spec.overcommit.merge) << "that stands in the definition, and only there";
}

TEST_F(Merge, PageMergingThatWaitsForTheNextStartIsAnAlertUntilTheDefinitionHasIt) {
    Vm row = a_vm().on("h1").running().build();
    row.spec.overcommit.merge = false;
    auto view = a_view(DomainState::running);
    const Vm waiting = after(row, {defined("h1", view)});
    EXPECT_THAT(waiting.alerts, ElementsAre(alert::merging_waits(false)));
    EXPECT_THAT(alert::pending(waiting), StartsWith("page merging is to be off"));
    EXPECT_THAT(after(waiting, {unreachable("h1")}).alerts, Contains(alert::merging_waits(false)))
        << "nothing says that it is over";
    view.spec.overcommit.merge = false;
    EXPECT_THAT(after(waiting, {defined("h1", view)}).alerts, ElementsAre());
    EXPECT_EQ(alert::pending(after(waiting, {defined("h1", view)})), "");
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
