// Registry and reconciler over the simulated driver and a real store: hosts.
#include "daemon/reconcile/release.h"
#include "tests/unit/reconcile/world_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Hosts : public WorldTest {};

TEST_F(Hosts, AreUpOnceEverythingWasRead) {
    const VmId web = run_vm("h1", 1);
    start();
    add_host("h1");
    ASSERT_TRUE(eventually([&] { return host_state("h1") == HostState::up; }));
    const auto now = snapshot();
    EXPECT_GT(now->hosts.find(HostId("h1"))->facts.cpus, 0);
    EXPECT_NE(find_pool(*now, HostId("h1"), "default"), nullptr);
    ASSERT_NE(now->vms.find(web), nullptr);
    EXPECT_EQ(now->vms.find(web)->state, VmState::running);
    const auto all = events();
    std::uint64_t discovered = 0;
    std::uint64_t up = 0;
    for (const auto& event : all) {
        if (event.kind == "vm.discovered") discovered = event.seq;
        if (event.kind == "host.up") up = event.seq;
    }
    EXPECT_GT(discovered, 0U);
    EXPECT_GT(up, discovered) << "what it runs is known before it is called up";
}

TEST_F(Hosts, AreReachableOnlyWhenTheyCanBeAsked) {
    start();
    EXPECT_EQ(registry_->reachable(HostId("h1")).error().code(), Code::not_found);
    add_host("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
    EXPECT_TRUE(registry_->reachable(HostId("h1")));
    world_->faults().make_unreachable("h1");
    ASSERT_TRUE(becomes("h1", HostState::unreachable));
    const auto refused = registry_->reachable(HostId("h1"));
    EXPECT_EQ(refused.error().code(), Code::unavailable);
    EXPECT_THAT(refused.error().message(), HasSubstr("host h1 can't be asked: unreachable since"));
    EXPECT_NE(registry_->find(HostId("h1")), nullptr);
}

TEST_F(Hosts, AnUnknownSchemeIsUnreachableWithTheReason) {
    start();
    Host host;
    host.id = HostId("x");
    host.name = "x";
    host.uri = "ftp://x";
    put(host, "host.added");
    ASSERT_TRUE(becomes("x", HostState::unreachable));
    EXPECT_THAT(snapshot()->hosts.find(HostId("x"))->state_reason, HasSubstr("ftp"));
}

TEST_F(Hosts, MaintenanceIsFollowedBothWays) {
    start();
    add_host("h1", true);
    ASSERT_TRUE(becomes("h1", HostState::up));
    change_host_row("h1", [](Host& host) { host.maintenance = true; });
    ASSERT_TRUE(becomes("h1", HostState::maintenance));
    EXPECT_TRUE(registry_->reachable(HostId("h1"))) << "it answers, so it can be evacuated";
    change_host_row("h1", [](Host& host) { host.maintenance = false; });
    ASSERT_TRUE(becomes("h1", HostState::up));
}

TEST_F(Hosts, TheSameMachineTwiceIsQuarantinedAndLeftAlone) {
    const VmId web = run_vm("h1", 1);
    start();
    add_host("h1", true);
    ASSERT_TRUE(becomes("h1", HostState::up));
    add_host("again", true, "h1");
    ASSERT_TRUE(becomes("again", HostState::quarantined));
    EXPECT_THAT(snapshot()->hosts.find(HostId("again"))->state_reason, HasSubstr("the same host as h1"));
    EXPECT_EQ(vm(web)->definitions.size(), 1U);
    EXPECT_THAT(vm(web)->alerts, IsEmpty());
    EXPECT_EQ(registry_->reachable(HostId("again")).error().code(), Code::unavailable);
    EXPECT_THAT(changes_->on(HostId("again")), IsEmpty());

    restart();
    ASSERT_TRUE(becomes("again", HostState::quarantined)) << "the first stays the first after a restart";
    ASSERT_TRUE(becomes("h1", HostState::up));

    change_host_row("h1", [](Host& host) { host.state = HostState::removed; });
    ASSERT_TRUE(becomes("again", HostState::up)) << "once the first is gone it is an ordinary host";
    ASSERT_TRUE(eventually([&] { return vm(web) != nullptr && vm(web)->host == HostId("again"); }));
}

TEST_F(Hosts, ARemovedHostIsForgottenWithItsVmsAndUntouched) {
    const VmId web = run_vm("h1", 1);
    start();
    add_host("h1", true);
    ASSERT_TRUE(becomes("h1", HostState::up));
    write([](store::Transaction& transaction) -> Result<void> {
        transaction.erase(HostId("h1"), {"host.removed", "by a test"});
        return {};
    });
    ASSERT_TRUE(eventually([&] { return vm(web) == nullptr && snapshot()->pools.empty(); }));
    EXPECT_THAT(kinds("vm."), Contains("vm.forgotten"));
    EXPECT_EQ(registry_->find(HostId("h1")), nullptr);
    EXPECT_THAT(world_->running_copies(web), ElementsAre("h1"));
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty());
}

TEST_F(Hosts, LosingOneMakesItsRunningVmsUnknownAndItsReturnMakesThemTrue) {
    const VmId runs = run_vm("h1", 1);
    const VmId off = define("h1", 2);
    const VmId ends = run_vm("h1", 3);
    start();
    add_host("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
    world_->faults().make_unreachable("h1");
    ASSERT_TRUE(becomes("h1", HostState::unreachable));
    ASSERT_TRUE(becomes(runs, VmState::unknown));
    ASSERT_TRUE(becomes(ends, VmState::unknown));
    EXPECT_EQ(vm(off)->state, VmState::stopped);
    const std::uint64_t before = snapshot()->seq;
    world_->faults().kill_qemu("h1", ends);
    world_->faults().make_reachable("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
    EXPECT_EQ(vm(runs)->state, VmState::running);
    EXPECT_NE(vm(ends)->state, VmState::unknown);
    EXPECT_NE(vm(ends)->state, VmState::running);
    EXPECT_THAT(kinds("vm.", before), Contains("vm.found"));
}

TEST_F(Hosts, AHungOneDelaysNoOther) {
    call_timeout_ = std::chrono::hours(1);  // nobody gives up: only separation helps
    run_vm("h1", 1);
    const VmId web = run_vm("h2", 2);
    start();
    add_host("h1");
    add_host("h2");
    ASSERT_TRUE(becomes("h1", HostState::up));
    ASSERT_TRUE(becomes("h2", HostState::up));
    world_->faults().hang("h1");
    ASSERT_TRUE(outside(virsh("h2").compute().destroy(web)));
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(becomes(web, VmState::stopped));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
    world_->faults().release("h1");
}

TEST_F(Hosts, AHungNewcomerDelaysNoOther) {
    call_timeout_ = std::chrono::hours(1);
    world_->faults().hang("h1");
    const VmId web = run_vm("h2", 2);
    start();
    add_host("h1");
    add_host("h2");
    ASSERT_TRUE(becomes("h2", HostState::up));
    EXPECT_EQ(host_state("h1"), HostState::connecting);
    ASSERT_TRUE(becomes(web, VmState::running));
    world_->faults().release("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
}

TEST_F(Hosts, AFailedReadingWhileBroughtUpIsRepeated) {
    world_->faults().fail_next("h1", sim::Call::list_domains, Error(Code::internal, "injected"));
    world_->faults().fail_next("h1", sim::Call::read_facts, Error(Code::internal, "injected"));
    start();
    add_host("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
}

TEST_F(Hosts, OneConfirmedDeadIsQuarantinedWhileItRunsWhatMovedOn) {
    const VmId web = run_vm("h1", 1);
    start();
    add_host("h1", true);
    add_host("h2", true);
    ASSERT_TRUE(becomes("h1", HostState::up));
    ASSERT_TRUE(becomes("h2", HostState::up));
    change_vm_row(web, [](Vm& row) { row.managed = true; });
    world_->faults().make_unreachable("h1");
    ASSERT_TRUE(becomes(web, VmState::unknown));
    write([](store::Transaction& transaction) -> Result<void> {
        Host host = *transaction.snapshot().hosts.find(HostId("h1"));
        host.confirmed_dead = true;
        transaction.put(host, {"host.confirmed_dead", "by a test"});
        EXPECT_EQ(release_vms(transaction, HostId("h1"), "burnt"), 1);
        return {};
    });
    EXPECT_EQ(vm(web)->state, VmState::stopped);
    EXPECT_EQ(vm(web)->host, std::nullopt);
    run_vm("h2", 1);
    ASSERT_TRUE(eventually([&] { return vm(web)->host == HostId("h2") && vm(web)->state == VmState::running; }));

    world_->faults().make_reachable("h1");
    ASSERT_TRUE(becomes("h1", HostState::quarantined));
    EXPECT_THAT(snapshot()->hosts.find(HostId("h1"))->state_reason, HasSubstr("still runs vm1 (owned by h2)"));
    ASSERT_TRUE(becomes(web, VmState::conflict));
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty());

    ASSERT_TRUE(outside(virsh("h1").compute().destroy(web)));
    ASSERT_TRUE(becomes("h1", HostState::up)) << "the operator ended the stale copy";
    EXPECT_FALSE(snapshot()->hosts.find(HostId("h1"))->confirmed_dead);
    ASSERT_TRUE(becomes(web, VmState::running));
    EXPECT_EQ(vm(web)->host, HostId("h2"));
}

TEST_F(Hosts, OneConfirmedDeadThatHoldsNothingComesBackByItself) {
    const VmId web = run_vm("h1", 1);
    start();
    add_host("h1", true);
    ASSERT_TRUE(becomes("h1", HostState::up));
    world_->faults().crash("h1");
    ASSERT_TRUE(becomes("h1", HostState::unreachable));
    change_host_row("h1", [](Host& host) { host.confirmed_dead = true; });
    world_->faults().revive("h1");
    ASSERT_TRUE(becomes("h1", HostState::up));
    EXPECT_FALSE(snapshot()->hosts.find(HostId("h1"))->confirmed_dead);
    EXPECT_EQ(vm(web)->host, HostId("h1"));
}

}  // namespace
}  // namespace ballast::reconcile
