// What a host can spare for the cache of a migration.
#include "scheduler/spare_memory.h"

#include <gtest/gtest.h>

#include "tests/support/builders.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

VmBuilder elastic(const std::string& name) {
    return a_vm(name).memory(gibibytes(4)).minimum(gibibytes(1));
}

/// Two VMs of 4 GiB, each guaranteed 1 GiB, on 16 GiB.
ClusterBuilder cluster_of(MemoryPolicy policy) {
    auto cluster = a_cluster();
    cluster.with(a_host("h1").memory(gibibytes(16)).memory_policy(policy)).with(a_host("h2"));
    cluster.with(elastic("stays").on("h1").running());
    return cluster.with(elastic("moves").on("h1").running());
}

Bytes spare(const Snapshot& snapshot, const MemoryAdmission* memory) {
    return spare_memory(snapshot, HostId("h1"), *snapshot.vms.find(VmId("moves")), memory);
}

Bytes whole(const Snapshot& snapshot) {
    return memory_demand(elastic("any").spec(), *snapshot.hosts.find(HostId("h1")));
}

TEST(SpareMemory, OfAHostThatDoesNotOvercommitIsWhatIsNotPromised) {
    const Snapshot snapshot = cluster_of(MemoryPolicy::none).build();
    const ShareOfMaximum memory(1.0);
    EXPECT_EQ(spare(snapshot, &memory), gibibytes(16) - whole(snapshot) * 2);
    EXPECT_EQ(memory.asked, 0);
}

TEST(SpareMemory, OfAnOvercommittedHostIsNeverMoreThanIsPhysicallyFree) {
    const Snapshot snapshot = cluster_of(MemoryPolicy::balanced).build();
    ShareOfMaximum memory(0.1);
    memory.free = gibibytes(3);
    EXPECT_EQ(spare(snapshot, &memory), gibibytes(3)) << "minimums would leave nearly 14 GiB";
    memory.free = Bytes(0);
    EXPECT_EQ(spare(snapshot, &memory), Bytes(0));
}

TEST(SpareMemory, OfAnOvercommittedHostIsNeverMoreThanTheVmsWillLeave) {
    const Snapshot snapshot = cluster_of(MemoryPolicy::balanced).build();
    ShareOfMaximum memory(1.0);
    memory.free = gibibytes(14);
    EXPECT_EQ(spare(snapshot, &memory), gibibytes(16) - whole(snapshot) * 2) << "they may want all of it back";
    memory.kept = gibibytes(13);
    EXPECT_LT(spare(snapshot, &memory), gibibytes(1)) << "minimums fit first";
    memory.kept = gibibytes(15);
    EXPECT_EQ(spare(snapshot, &memory), Bytes(0));
}

TEST(SpareMemory, IsWhatAllMaximumsLeaveWhereNobodyMeasures) {
    const Snapshot snapshot = cluster_of(MemoryPolicy::balanced).build();
    const Bytes left = gibibytes(16) - whole(snapshot) * 2;
    EXPECT_EQ(spare(snapshot, nullptr), left);
    const ShareOfMaximum unseen(0.1);
    EXPECT_EQ(spare(snapshot, &unseen), left) << "this host was not looked at";
}

TEST(SpareMemory, IsNotThatOfVmsThatAreOnTheirWayNorOfOthersCaches) {
    Migration other;
    other.id = JobId("j1");
    other.vm = VmId("stays");
    other.from = HostId("h1");
    other.knobs.xbzrle = true;
    other.knobs.xbzrle_cache = mebibytes(512);
    auto builder = cluster_of(MemoryPolicy::balanced);
    builder.with(elastic("comes").on("h2").running());
    builder.with(a_claim("j1", "h2", "stays", gibibytes(4))).with(a_claim("j2", "h1", "comes", gibibytes(4)));
    Snapshot snapshot = builder.build();
    snapshot.migrations.put(other);
    ShareOfMaximum memory(0.1);
    memory.free = gibibytes(6);
    EXPECT_EQ(spare(snapshot, &memory), gibibytes(6) - mebibytes(512) - whole(snapshot));
}

}  // namespace
}  // namespace ballast::scheduler
