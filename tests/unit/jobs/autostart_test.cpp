// Autostart end to end on simulated hosts: a host that dies and comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/reconcile/release.h"
#include "drivers/simulated/state.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string body(const std::string& name, bool autostart) {
    return fmt::format(R"({{"name":"{}","host":"h1","spec":{{"memory_bytes":268435456,"autostart":{}}}}})", name,
                       autostart);
}

std::vector<Event> events(SimCluster& cluster, const std::string& kind) {
    store::EventQuery query;
    query.kind_prefix = kind;
    return run(*cluster.io, cluster.store->events(std::move(query))).value();
}

void make_two(SimCluster& cluster) {
    ASSERT_EQ(cluster.do_job("vm.create", "", body("kept", true))->state, JobState::succeeded);
    ASSERT_EQ(cluster.do_job("vm.create", "", body("plain", false))->state, JobState::succeeded);
}

TEST(VmAutostart, StartsWhatRanWhenItsHostDiedAndOnlyWhereThatIsWanted) {
    SimCluster cluster;
    make_two(cluster);
    cluster.world->faults().crash("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::unknown; }));
    cluster.world->faults().revive("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::running; }));
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("plain")->state != VmState::unknown; }));
    EXPECT_NE(cluster.vm("plain")->state, VmState::running);
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("kept")->id), SizeIs(1));
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("plain")->id), IsEmpty());
    EXPECT_THAT(events(cluster, "vm.autostart"), SizeIs(1));
    EXPECT_THAT(events(cluster, "job.queued"), Contains(Field(&Event::actor, "ballast")));
}

TEST(VmAutostart, AlsoStartsWhatDiedWhileTheDaemonWasAway) {
    SimCluster cluster;
    make_two(cluster);
    cluster.world->faults().crash("h1");
    cluster.restart();
    cluster.world->faults().revive("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::running; }));
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("plain")->id), IsEmpty());
}

TEST(VmAutostart, LeavesOffWhatSomebodyEndedWhileTheHostCouldNotBeAsked) {
    SimCluster cluster;
    make_two(cluster);
    const VmId vm = cluster.vm("kept")->id;
    cluster.world->faults().make_unreachable("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::unknown; }));
    ASSERT_TRUE(cluster.world->with([&](drivers::simulated::State& state) { return state.destroy("h1", vm); }));
    cluster.world->faults().make_reachable("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::stopped; }));
    ASSERT_TRUE(cluster.until([&] { return cluster.host("h1")->state == HostState::up; }));
    EXPECT_THAT(events(cluster, "vm.autostart"), IsEmpty());
    EXPECT_THAT(cluster.world->running_copies(vm), IsEmpty());
}

TEST(VmAutostart, LeavesTheVmsOfAHostThatWasConfirmedDead) {
    SimCluster cluster;
    make_two(cluster);
    cluster.world->faults().crash("h1");
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("kept")->state == VmState::unknown; }));
    ASSERT_TRUE(cluster.write([](store::Transaction& transaction) -> Result<void> {
        Host dead = *transaction.snapshot().hosts.find(HostId("id-h1"));
        dead.confirmed_dead = true;
        transaction.put(dead, {"host.confirmed_dead", "by a test"});
        reconcile::release_vms(transaction, dead.id, "by a test");
        return {};
    }));
    cluster.world->faults().revive("h1");
    ASSERT_TRUE(cluster.until([&] { return !cluster.host("h1")->confirmed_dead; }));
    EXPECT_THAT(events(cluster, "vm.autostart"), IsEmpty());
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("kept")->id), IsEmpty());
}

}  // namespace
}  // namespace ballast::testing
