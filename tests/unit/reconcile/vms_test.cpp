// What somebody does on the hosts is in the inventory soon after, marked as done outside Ballast.
#include "tests/unit/reconcile/world_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

class Vms : public WorldTest {
  protected:
    void up(bool managed = false) {
        start();
        add_host("h1", managed);
        add_host("h2", managed);
        ASSERT_TRUE(becomes("h1", HostState::up));
        ASSERT_TRUE(becomes("h2", HostState::up));
        begun_ = snapshot()->seq;
    }
    /// Within a second of the act, says the issue; nothing here waits for a sweep.
    [[nodiscard]] bool soon(const std::function<bool()>& condition) {
        return eventually(condition, std::chrono::seconds(1));
    }
    [[nodiscard]] std::vector<Event> news() { return events("vm.", begun_); }

    std::uint64_t begun_ = 0;
};

class VmsWithoutSweep : public Vms {
  protected:
    VmsWithoutSweep() { options_.sweep_interval = std::chrono::hours(1); }
};

TEST_F(VmsWithoutSweep, AreSeenThroughTheirLifeByEventsAlone) {
    up();
    const VmId id = define("h1", 1);
    ASSERT_TRUE(soon([&] { return vm(id) != nullptr; }));
    EXPECT_EQ(vm(id)->state, VmState::stopped);
    EXPECT_FALSE(vm(id)->managed);
    auto& compute = virsh("h1").compute();
    ASSERT_TRUE(outside(compute.start(id)));
    ASSERT_TRUE(soon([&] { return vm(id)->state == VmState::running; }));
    ASSERT_TRUE(outside(virsh("h1").migration().suspend(id)));
    ASSERT_TRUE(soon([&] { return vm(id)->state == VmState::paused; }));
    ASSERT_TRUE(outside(virsh("h1").migration().resume(id)));
    ASSERT_TRUE(soon([&] { return vm(id)->state == VmState::running; }));
    ASSERT_TRUE(outside(virsh("h1").memory().set_balloon(id, mebibytes(256))));
    ASSERT_TRUE(soon([&] { return vm(id)->balloon == mebibytes(256); }));
    ASSERT_TRUE(outside(compute.destroy(id)));
    ASSERT_TRUE(soon([&] { return vm(id)->state == VmState::stopped; }));
    ASSERT_TRUE(outside(compute.undefine(id)));
    ASSERT_TRUE(soon([&] { return vm(id) == nullptr; }));
    EXPECT_THAT(kinds("vm.", begun_), ElementsAre("vm.defined", "vm.started", "vm.paused", "vm.resumed",
                                                  "vm.balloon_changed", "vm.stopped", "vm.removed_outside"));
    for (const auto& event : news()) {
        EXPECT_EQ(event.origin, Origin::outside) << event.kind;
        EXPECT_EQ(event.actor, "outside");
        EXPECT_EQ(event.job, JobId());
    }
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty());
}

TEST_F(VmsWithoutSweep, ADefinitionChangedOutsideIsFollowedWhereItIsOnlyObserved) {
    const VmId id = define("h1", 1);
    up();
    define("h1", 1, [](auto& definition) { definition.spec.vcpus = 4; });
    ASSERT_TRUE(soon([&] { return vm(id)->spec.vcpus == 4; }));
    EXPECT_THAT(news(), Contains(Field(&Event::message, "vm1: vcpus 1 -> 4")));
}

TEST_F(VmsWithoutSweep, ADefinitionChangedOutsideIsAnAlertWhereBallastMadeIt) {
    const VmId id = define("h1", 1);
    up(true);
    change_vm_row(id, [](Vm& row) { row.managed = row.created_by_ballast = true; });
    define("h1", 1, [](auto& definition) { definition.spec.vcpus = 4; });
    ASSERT_TRUE(soon([&] { return !vm(id)->alerts.empty(); }));
    EXPECT_THAT(vm(id)->alerts, ElementsAre(HasSubstr("vcpus 1 -> 4")));
    EXPECT_EQ(vm(id)->spec.vcpus, 1);
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty()) << "nothing is corrected without being asked";
}

TEST_F(VmsWithoutSweep, AManagedVmThatIsUndefinedOutsideIsMissingNotDropped) {
    const VmId id = define("h1", 1);
    up(true);
    change_vm_row(id, [](Vm& row) { row.managed = true; });
    ASSERT_TRUE(outside(virsh("h1").compute().undefine(id)));
    ASSERT_TRUE(becomes(id, VmState::missing));
    EXPECT_THAT(vm(id)->alerts, ElementsAre(HasSubstr("no longer defines it")));
}

TEST_F(VmsWithoutSweep, AMoveWithVirshIsFollowedWithoutAFalseConflict) {
    const VmId id = run_vm("h1", 1);
    up();
    drivers::MigrationRequest request;
    request.vm = id;
    request.peer_uri = "sim://h2";
    request.allow_unsafe = true;
    ASSERT_TRUE(outside(virsh("h1").migration().migrate(request)));
    ASSERT_TRUE(soon([&] { return vm(id)->host == HostId("h2") && vm(id)->state == VmState::running; }));
    ASSERT_TRUE(soon([&] { return vm(id)->definitions.size() == 1; }));
    EXPECT_THAT(kinds("vm.", begun_), AllOf(Contains("vm.moved"), Not(Contains("vm.conflict"))));
    EXPECT_THAT(vm(id)->alerts, IsEmpty());
}

TEST_F(VmsWithoutSweep, TheSameUuidRunningTwiceIsAConflict) {
    const VmId id = run_vm("h1", 1);
    up();
    run_vm("h2", 1);
    ASSERT_TRUE(becomes(id, VmState::conflict));
    EXPECT_THAT(vm(id)->definitions, SizeIs(2));
    EXPECT_THAT(vm(id)->alerts, ElementsAre(HasSubstr("active on h1 and h2")));
    EXPECT_THAT(news(), Contains(Field(&Event::kind, "vm.conflict")));
    ASSERT_TRUE(outside(virsh("h2").compute().destroy(id)));
    ASSERT_TRUE(soon([&] { return vm(id)->state == VmState::running; }));
    EXPECT_EQ(vm(id)->host, HostId("h1"));
}

TEST_F(Vms, TheSameUuidFoundTwiceAtTheStartIsAConflict) {
    const VmId id = run_vm("h1", 1);
    run_vm("h2", 1);
    up();
    ASSERT_TRUE(becomes(id, VmState::conflict));
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty());
    EXPECT_THAT(changes_->on(HostId("h2")), IsEmpty());
}

TEST_F(Vms, OfOneNameOnTwoHostsAreTwo) {
    const VmId one = define("h1", 1, [](auto& definition) { definition.name = "web"; });
    const VmId two = define("h2", 2, [](auto& definition) { definition.name = "web"; });
    up();
    EXPECT_EQ(find_vm(*snapshot(), "web").error().code(), Code::conflict);
    EXPECT_EQ((*find_vm(*snapshot(), "web@h1"))->id, one);
    EXPECT_EQ((*find_vm(*snapshot(), "web@h2"))->id, two);
}

TEST_F(Vms, WhatNoEventToldIsCaughtByTheSweep) {
    const VmId id = run_vm("h1", 1);
    const VmId other = define("h1", 2);
    up();
    world_->faults().drop_events("h1", true);
    ASSERT_TRUE(outside(virsh("h1").memory().set_balloon(id, mebibytes(128))));
    ASSERT_TRUE(eventually([&] { return vm(id)->balloon == mebibytes(128); }));
    ASSERT_TRUE(outside(virsh("h1").compute().destroy(id)));
    ASSERT_TRUE(becomes(id, VmState::stopped));
    ASSERT_TRUE(outside(virsh("h1").compute().undefine(other)));
    ASSERT_TRUE(eventually([&] { return vm(other) == nullptr; }));
    define("h1", 1, [](auto& definition) { definition.spec.vcpus = 3; });
    ASSERT_TRUE(eventually([&] { return vm(id)->spec.vcpus == 3; }));
    const VmId fresh = define("h1", 3);
    ASSERT_TRUE(eventually([&] { return vm(fresh) != nullptr; }));
}

TEST_F(Vms, WhatOnlyTheXmlShowsIsCaughtByTheList) {
    options_.list_interval = Milliseconds(300);
    const VmId id = define("h1", 1);
    up();
    world_->faults().drop_events("h1", true);
    define("h1", 1, [](auto& definition) { definition.spec.memory = gibibytes(3); });
    ASSERT_TRUE(eventually([&] { return vm(id)->spec.memory == gibibytes(3); }));
}

TEST_F(Vms, HaveStatisticsThatNeverEnterTheLog) {
    const VmId id = run_vm("h1", 1);
    up();
    ASSERT_TRUE(eventually([&] { return reconciler_->stats()->find(HostId("h1"), id) != nullptr; }));
    const auto first = reconciler_->stats()->find(HostId("h1"))->time;
    const std::uint64_t seq = snapshot()->seq;
    world_->advance(Milliseconds(5));
    ASSERT_TRUE(eventually([&] { return reconciler_->stats()->find(HostId("h1"))->time > first; }));
    EXPECT_EQ(snapshot()->seq, seq);
}

TEST_F(Vms, ARestartCatchesUpWithWhatHappenedMeanwhile) {
    const VmId ended = run_vm("h1", 1);
    const VmId gone = define("h1", 2);
    const VmId begun = define("h2", 3);
    const VmId same = run_vm("h2", 4);
    up();
    stop();
    ASSERT_TRUE(outside(virsh("h1").compute().destroy(ended)));
    ASSERT_TRUE(outside(virsh("h1").compute().undefine(gone)));
    ASSERT_TRUE(outside(virsh("h2").compute().start(begun)));
    const VmId fresh = define("h1", 5);
    restart();
    ASSERT_TRUE(becomes("h1", HostState::up));
    ASSERT_TRUE(becomes("h2", HostState::up));
    EXPECT_EQ(vm(ended)->state, VmState::stopped);
    EXPECT_TRUE(eventually([&] { return vm(gone) == nullptr; }));
    EXPECT_EQ(vm(begun)->state, VmState::running);
    EXPECT_NE(vm(fresh), nullptr);
    EXPECT_EQ(vm(same)->state, VmState::running);
    EXPECT_THAT(kinds("vm.", begun_),
                ::testing::UnorderedElementsAre("vm.stopped", "vm.removed_outside", "vm.started", "vm.discovered"));
}

TEST_F(Vms, AllThatChangedAtOnceIsTold) {
    const VmId id = define("h1", 1);
    up();
    stop();
    define("h1", 1, [](auto& definition) { definition.spec.vcpus = 3; });
    ASSERT_TRUE(outside(virsh("h1").compute().start(id)));
    restart();
    ASSERT_TRUE(becomes(id, VmState::running));
    EXPECT_THAT(kinds("vm.", begun_), AllOf(Contains("vm.started"), Contains("vm.changed")));
    EXPECT_EQ(vm(id)->spec.vcpus, 3);
    for (const Event& event : news())
        EXPECT_THAT(event.after.text, HasSubstr(id.str()))
            << event.kind << ": an event without the row says it is gone";
}

TEST_F(Vms, AHostThatIsGoneAfterARestartLeavesItsVmsUnknown) {
    const VmId id = run_vm("h1", 1);
    up();
    stop();
    world_->faults().make_unreachable("h1");
    restart();
    ASSERT_TRUE(becomes("h1", HostState::unreachable));
    ASSERT_TRUE(becomes(id, VmState::unknown));
}

TEST_F(VmsWithoutSweep, WhatAJobDoesIsToldAsItsDoing) {
    const VmId id = define("h1", 1);
    up(true);
    change_vm_row(id, [](Vm& row) {
        row.managed = true;
        row.job = JobId("j1");
        row.state = VmState::starting;
    });
    begun_ = snapshot()->seq;
    ASSERT_TRUE(outside(virsh("h1").compute().start(id)));
    ASSERT_TRUE(becomes(id, VmState::running));
    for (const auto& event : news()) {
        EXPECT_EQ(event.job, JobId("j1")) << event.kind;
        EXPECT_EQ(event.origin, Origin::ballast);
    }
    EXPECT_THAT(news(), Contains(Field(&Event::kind, "vm.started")));
}

TEST_F(VmsWithoutSweep, ObservingOneOnAskLeavesNothingToWaitFor) {
    const VmId id = define("h1", 1);
    up(true);
    world_->faults().drop_events("h1", true);
    change_vm_row(id, [](Vm& row) {
        row.managed = true;
        row.job = JobId("j1");
    });
    ASSERT_TRUE(outside(virsh("h1").compute().start(id)));
    ASSERT_TRUE(testing::run(io_, reconciler_->observe(id, JobId("j1"))));
    EXPECT_EQ(vm(id)->state, VmState::running);
    EXPECT_EQ(events("vm.").back().job, JobId("j1"));
}

TEST_F(VmsWithoutSweep, ObservingAVmOfALostHostDoesNotWaitForIt) {
    const VmId id = run_vm("h1", 1);
    up(true);
    world_->faults().make_unreachable("h1");
    ASSERT_TRUE(becomes(id, VmState::unknown));
    EXPECT_TRUE(testing::run(io_, reconciler_->observe(id, JobId("j1"))));
    EXPECT_EQ(vm(id)->state, VmState::unknown);
}

TEST_F(VmsWithoutSweep, AJobsEndLetsTheHostsDecideAgain) {
    const VmId id = run_vm("h1", 1);
    up(true);
    Job job;
    job.id = JobId("j1");
    job.vm = id;
    job.state = JobState::running;
    put(job);
    change_vm_row(id, [](Vm& row) {
        row.managed = true;
        row.job = JobId("j1");
        row.state = VmState::migrating;
    });
    write([id, job](store::Transaction& transaction) -> Result<void> {
        Vm row = *transaction.snapshot().vms.find(id);
        row.job.reset();
        transaction.put(row, {"vm.job_ended", ""});
        Job ended = job;
        ended.state = JobState::failed;
        transaction.put(ended, {"job.failed", ""});
        return {};
    });
    ASSERT_TRUE(becomes(id, VmState::running));
}

TEST_F(VmsWithoutSweep, ADomainThatCanNotBeReadIsReadAgain) {
    const VmId id = define("h1", 1);
    up();
    for (int i = 0; i < 3; ++i)
        world_->faults().fail_next("h1", sim::Call::read_domain, Error(Code::unavailable, "an overdue call"));
    ASSERT_TRUE(outside(virsh("h1").compute().start(id)));
    ASSERT_TRUE(becomes(id, VmState::running));
}

TEST_F(VmsWithoutSweep, AStormOfEventsEndsInTheTruth) {
    up();
    std::vector<VmId> all;
    for (int i = 1; i <= 60; ++i) all.push_back(run_vm(i % 2 == 0 ? "h1" : "h2", i));
    for (std::size_t i = 0; i < all.size(); i += 3)
        ASSERT_TRUE(outside(virsh(i % 2 == 1 ? "h1" : "h2").compute().destroy(all[i])));
    ASSERT_TRUE(eventually([&] {
        for (std::size_t i = 0; i < all.size(); ++i)
            if (vm(all[i]) == nullptr || vm(all[i])->state != (i % 3 == 0 ? VmState::stopped : VmState::running))
                return false;
        return true;
    }));
}

}  // namespace
}  // namespace ballast::reconcile
