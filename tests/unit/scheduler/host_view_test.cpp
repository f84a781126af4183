// What counts as promised on a host, and how much.
#include "scheduler/host_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

Bytes demand(const VmBuilder& vm) {
    return memory_demand(vm.spec(), a_host().build());
}

HostView view(const Snapshot& snapshot, const std::string& host = "h1", const std::string& except = "none") {
    return view_host(snapshot, HostId(host), VmId(except));
}

TEST(HostView, CountsRunningVmsWithTheirMaximumAndQemusNeed) {
    const auto vm = a_vm().memory(gibibytes(1)).vcpus(2);
    const auto cluster =
        a_cluster().with(a_host()).with(a_vm().memory(gibibytes(1)).vcpus(2).on("h1").running()).build();
    EXPECT_EQ(view(cluster).promised_memory, demand(vm));
    EXPECT_EQ(view(cluster).promised_vcpus, 2);
}

TEST(HostView, DoesNotCountStoppedVms) {
    const auto cluster = a_cluster().with(a_host()).with(a_vm().on("h1")).build();
    EXPECT_EQ(view(cluster).promised_memory, Bytes(0));
}

TEST(HostView, CountsVmsOfOthersWhereTheyAreActive) {
    const auto vm = a_vm().observed().also_defined_on("h1", DomainState::running);
    EXPECT_EQ(view(a_cluster().with(a_host()).with(vm).build()).promised_memory, demand(a_vm()));
}

TEST(HostView, KeepsTheRoomOfAVmThatWasLastSeenRunning) {
    const auto vm = a_vm().on("h1").state(VmState::unknown);
    EXPECT_EQ(view(a_cluster().with(a_host()).with(vm).build()).promised_memory, demand(a_vm()));
}

TEST(HostView, CountsAStartingVmBeforeItsDomainIsActive) {
    const auto vm = a_vm().on("h1").state(VmState::starting);
    EXPECT_EQ(view(a_cluster().with(a_host()).with(vm).build()).promised_memory, demand(a_vm()));
}

TEST(HostView, CountsAMovingVmOnBothHosts) {
    const auto vm = a_vm().on("h1").running().state(VmState::migrating);
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(vm)
                             .with(a_claim("j", "h2", "web1", gibibytes(1)))
                             .build();
    EXPECT_EQ(view(cluster, "h1").promised_memory, demand(a_vm()));
    EXPECT_EQ(view(cluster, "h2").promised_memory, gibibytes(1));
}

TEST(HostView, AddsNoClaimToAVmThatCountsAlreadyButTakesTheLarger) {
    auto cluster =
        a_cluster().with(a_host()).with(a_vm().on("h1").running()).with(a_claim("j", "h1", "web1", mebibytes(1)));
    EXPECT_EQ(view(cluster.build()).promised_memory, demand(a_vm()));
    cluster.with(a_claim("j", "h1", "web1", gibibytes(3)));
    EXPECT_EQ(view(cluster.build()).promised_memory, gibibytes(3));
}

TEST(HostView, KeepsRoomForTheCacheOfAMigrationOnTheHostThatTheVmLeaves) {
    auto cluster = a_cluster()
                       .with(a_host("h1"))
                       .with(a_host("h2"))
                       .with(a_vm().on("h1").running().state(VmState::migrating))
                       .with(a_claim("j", "h2", "web1", gibibytes(1)))
                       .build();
    Migration move;
    move.id = JobId("j");
    move.vm = VmId("web1");
    move.from = HostId("h1");
    move.knobs.xbzrle = true;
    move.knobs.xbzrle_cache = mebibytes(256);
    cluster.migrations.put(move);
    EXPECT_EQ(view(cluster, "h1").promised_memory, demand(a_vm()) + mebibytes(256));
    EXPECT_EQ(view(cluster, "h2").promised_memory, gibibytes(1));
    const auto all = view_hosts(cluster, VmId("none"));
    EXPECT_EQ(all.at(0).promised_memory, demand(a_vm()) + mebibytes(256));
}

TEST(HostView, LeavesOutWhatTheAskingVmHolds) {
    const auto cluster = a_cluster()
                             .with(a_host())
                             .with(a_vm().on("h1").running())
                             .with(a_claim("j", "h1", "web1", gibibytes(1)))
                             .build();
    EXPECT_EQ(view(cluster, "h1", "web1").promised_memory, Bytes(0));
}

TEST(HostView, OneHostIsSeenAsAmongAll) {
    const auto cluster = a_cluster()
                             .with(a_host("h2"))
                             .with(a_host("h1"))
                             .with(a_vm("a").on("h1").running())
                             .with(a_vm("b").on("h2").running().also_defined_on("h1", DomainState::incoming))
                             .with(a_claim("j", "h1", "c", gibibytes(1), 3))
                             .build();
    const auto all = view_hosts(cluster, VmId("none"));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].host->name, "h1");
    for (const HostView& one : all) {
        EXPECT_EQ(one.promised_memory, view(cluster, one.host->id.str()).promised_memory);
        EXPECT_EQ(one.promised_vcpus, view(cluster, one.host->id.str()).promised_vcpus);
    }
}

TEST(HostView, LeavesOutRemovedHosts) {
    EXPECT_TRUE(view_hosts(a_cluster().with(a_host().state(HostState::removed)).build(), VmId("x")).empty());
}

TEST(QemuOverhead, GrowsWithVcpusAndMemoryAndIsLargerUnderTcg) {
    const auto base = qemu_overhead(a_vm().memory(mebibytes(256)).spec(), Accelerator::tcg);
    EXPECT_EQ(base, mebibytes(110) + kibibytes(512));
    EXPECT_GT(qemu_overhead(a_vm().memory(mebibytes(256)).vcpus(2).spec(), Accelerator::tcg), base);
    EXPECT_GT(qemu_overhead(a_vm().memory(gibibytes(64)).spec(), Accelerator::tcg), base + mebibytes(100));
    EXPECT_LT(qemu_overhead(a_vm().memory(mebibytes(256)).spec(), Accelerator::kvm), base);
}

TEST(AcceleratorOf, FollowsTheOperatorElseTakesKvmWhereThereIsOne) {
    EXPECT_EQ(accelerator_of(a_host().build()), Accelerator::tcg);
    EXPECT_EQ(accelerator_of(a_host().accelerators({"qemu", "kvm"}).build()), Accelerator::kvm);
    HostSettings settings;
    settings.accelerator = Accelerator::tcg;
    EXPECT_EQ(accelerator_of(a_host().accelerators({"qemu", "kvm"}).settings(settings).build()), Accelerator::tcg);
}

}  // namespace
}  // namespace ballast::scheduler
