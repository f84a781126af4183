// vm.migrate with copy_disks of a VM that Ballast did not make: its definition names files, and their sizes are read
// before anything is copied, so that a target without room is found before the start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CopiedDisks : public ::testing::Test {
  protected:
    /// As somebody with virsh made it: Ballast only adopts it.
    void SetUp() override {
        auto& host = *cluster.registry->find(HostId("id-h1"));
        ASSERT_TRUE(run(*cluster.io, host.storage().create_volume({.pool = "local",
                                                                   .name = "old.qcow2",
                                                                   .format = "qcow2",
                                                                   .capacity = mebibytes(64),
                                                                   .backing_path = {},
                                                                   .backing_format = {}})));
        drivers::DomainDefinition definition;
        definition.id = VmId("6f3a0e1c-0000-4000-8000-00000000abcd");
        definition.name = "old1";
        definition.spec.memory = mebibytes(256);
        definition.spec.disks.emplace_back().path = "/srv/local/old.qcow2";
        definition.spec.disks.back().target = "vda";
        ASSERT_TRUE(run(*cluster.io, host.compute().define(definition)));
        ASSERT_TRUE(run(*cluster.io, host.compute().start(definition.id)));
        ASSERT_TRUE(cluster.until([&] { return cluster.vm("old1") && cluster.vm("old1")->state == VmState::running; }));
        ASSERT_TRUE(cluster.write([id = definition.id](store::Transaction& transaction) -> Result<void> {
            BALLAST_TRY(Vm vm, jobs::vm_of(transaction, id));
            vm.managed = true;
            vm.spec.moves = MovePolicy::free;
            transaction.put(std::move(vm), {"vm.adopted", "by the test"});
            return {};
        }));
    }
    [[nodiscard]] Job copy_to_h2() {
        return cluster.do_job("vm.migrate", "old1", R"({"to":"h2","knobs":{"copy_disks":"full"}})").value();
    }
    [[nodiscard]] std::vector<std::string> running_on() const {
        return cluster.world->running_copies(cluster.vm("old1")->id);
    }

    [[nodiscard]] bool has_file(const std::string& host) {
        auto& driver = *cluster.registry->find(HostId("id-" + host));
        return run(*cluster.io, driver.storage().read_volume("local", "old.qcow2")).has_value();
    }

    SimCluster cluster;
};

TEST_F(CopiedDisks, AreReadBeforeTheStartAndTheirSizeIsKept) {
    EXPECT_EQ(cluster.vm("old1")->spec.disks.at(0).size, Bytes(0));
    const Job moved = copy_to_h2();
    ASSERT_EQ(moved.state, JobState::succeeded) << moved.error->message;
    EXPECT_EQ(cluster.vm("old1")->spec.disks.at(0).size, mebibytes(64));
    EXPECT_THAT(running_on(), ElementsAre("h2"));
}

TEST_F(CopiedDisks, ThatFindNoRoomOnTheTargetAreRefusedBeforeTheStart) {
    cluster.world->faults().fill_pool("h2", "local");
    const Job refused = copy_to_h2();
    EXPECT_EQ(refused.state, JobState::failed);
    EXPECT_THAT(refused.error->message, HasSubstr("disk vda needs 64 MiB, pool local of h2 has 0 B left; make room"));
    EXPECT_TRUE(cluster.snapshot()->migrations.empty()) << "nothing was claimed, nothing called";
    EXPECT_THAT(running_on(), ElementsAre("h1"));
    cluster.world->faults().drain_pool("h2", "local");
    EXPECT_EQ(copy_to_h2().state, JobState::succeeded);
}

TEST_F(CopiedDisks, ThatFillTheTargetOnTheWayLeaveTheVmWhereItIs) {
    cluster.world->set_link("h1", "h2", BytesPerSecond(1'048'576));
    const auto queued = cluster.queue("vm.migrate", "old1", R"({"to":"h2","knobs":{"copy_disks":"full"}})");
    ASSERT_TRUE(cluster.until([&] {
        const auto row = cluster.snapshot()->migrations.find_ptr(queued->id);
        return row && row->called;
    }));
    cluster.world->faults().fill_pool("h2", "local");
    const auto ended = cluster.wait(queued->id);
    EXPECT_EQ(ended->state, JobState::failed);
    EXPECT_THAT(ended->error->causes, ::testing::Contains(HasSubstr("no space left")));
    EXPECT_THAT(running_on(), ElementsAre("h1"));
    EXPECT_EQ(cluster.world->find_domain("h2", cluster.vm("old1")->id), std::nullopt);
    EXPECT_FALSE(has_file("h2")) << "the move had made it";
    EXPECT_TRUE(has_file("h1"));
}

TEST_F(CopiedDisks, LeaveAFileOnTheTargetThatWasThereBefore) {
    auto& there = *cluster.registry->find(HostId("id-h2"));
    ASSERT_TRUE(run(*cluster.io, there.storage().create_volume({.pool = "local",
                                                                .name = "old.qcow2",
                                                                .format = "qcow2",
                                                                .capacity = mebibytes(64),
                                                                .backing_path = {},
                                                                .backing_format = {}})));
    cluster.world->set_link("h1", "h2", BytesPerSecond(1'048'576));
    const auto queued = cluster.queue("vm.migrate", "old1", R"({"to":"h2","knobs":{"copy_disks":"full"}})");
    ASSERT_TRUE(cluster.until([&] {
        const auto row = cluster.snapshot()->migrations.find_ptr(queued->id);
        return row && row->called;
    }));
    cluster.world->faults().cut("h1", "h2");
    EXPECT_EQ(cluster.wait(queued->id)->state, JobState::failed);
    EXPECT_TRUE(has_file("h2")) << "somebody else's";
}

}  // namespace
}  // namespace ballast::testing
