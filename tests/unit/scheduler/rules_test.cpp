// Each placement rule by itself: what it refuses, with which numbers, and what would make it fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/rules/anti_affinity.h"
#include "scheduler/rules/bound_to_host.h"
#include "scheduler/rules/catalog.h"
#include "scheduler/rules/cpu_compatible.h"
#include "scheduler/rules/cpu_fit.h"
#include "scheduler/rules/host_labels.h"
#include "scheduler/rules/host_ready.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/network_reachable.h"
#include "scheduler/rules/pair_ready.h"
#include "scheduler/rules/storage_reachable.h"
#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(HostReady, AcceptsAManagedHostThatIsUp) {
    EXPECT_THAT(ask<HostReady>(a_cluster().with(a_host()).build(), place(a_vm())), accepts());
}

TEST(HostReady, RefusesWhereNothingMayBeginAndSaysTheWayOut) {
    const auto observed = ask<HostReady>(a_cluster().with(a_host().observed()).build(), place(a_vm()));
    EXPECT_THAT(observed, rejects(HasSubstr("only observed")));
    EXPECT_EQ(observed.fits_if, "ballast host manage h1");
    EXPECT_THAT(ask<HostReady>(a_cluster().with(a_host().in_maintenance()).build(), place(a_vm())),
                rejects(HasSubstr("maintenance")));
    EXPECT_THAT(ask<HostReady>(a_cluster().with(a_host().confirmed_dead()).build(), place(a_vm())),
                rejects(HasSubstr("confirmed dead")));
    const auto down = a_cluster().with(a_host().state(HostState::unreachable, "no route")).build();
    EXPECT_THAT(ask<HostReady>(down, place(a_vm())), rejects("unreachable (no route)"));
}

TEST(HostReady, RefusesExcludedHostsAndTheOneThatTheVmLeaves) {
    const auto cluster = a_cluster().with(a_host()).build();
    PlacementRequest request = place(a_vm());
    request.exclude = {HostId("h1")};
    EXPECT_THAT(ask<HostReady>(cluster, request), rejects(HasSubstr("excluded")));
    EXPECT_THAT(ask<HostReady>(cluster, move(a_vm(), "h1")), rejects(HasSubstr("already")));
}

TEST(CpuFit, CountsPromisedVcpusAgainstCoresTimesOvercommit) {
    const auto host = a_host().cpus(2).overcommit(2);
    const auto full =
        a_cluster().with(host).with(a_vm("a").vcpus(2).on("h1").running()).with(a_vm("b").vcpus(1).on("h1").running());
    EXPECT_THAT(ask<CpuFit>(full.build(), place(a_vm().vcpus(1))), accepts());
    const auto refused = ask<CpuFit>(full.build(), place(a_vm().vcpus(2)));
    EXPECT_THAT(refused, rejects("needs 2 vCPUs, has 1 of 4 free (2 cores x 2)"));
    EXPECT_TRUE(refused.about_room);
}

TEST(CpuFit, RefusesMoreVcpusThanCoresWhateverTheOvercommit) {
    const auto verdict = ask<CpuFit>(a_cluster().with(a_host().cpus(2).overcommit(16)).build(), place(a_vm().vcpus(3)));
    EXPECT_THAT(verdict, rejects(HasSubstr("2 usable cores")));
    EXPECT_FALSE(verdict.about_room);
}

TEST(CpuCompatible, WantsTheMachineTypeAndTheCpuModel) {
    const auto cluster = a_cluster().with(a_host()).build();
    EXPECT_THAT(ask<CpuCompatible>(cluster, place(a_vm())), accepts());
    EXPECT_THAT(ask<CpuCompatible>(cluster, place(a_vm().machine("pc-q35-8.0"))), rejects(HasSubstr("pc-q35-8.0")));
    EXPECT_THAT(ask<CpuCompatible>(cluster, place(a_vm().cpu_model("Skylake"))), rejects(HasSubstr("Skylake")));
    EXPECT_THAT(ask<CpuCompatible>(cluster, place(a_vm().cpu_model("host-passthrough"))), accepts());
}

TEST(MemoryFit, RejectsAHostThatWouldHaveToSpendItsReserve) {
    const auto host = a_host().memory(gibibytes(8)).reserve(gibibytes(2));
    const auto cluster = a_cluster().with(host).with(a_vm("db").memory(gibibytes(4)).on("h1").running()).build();
    const auto verdict = ask<MemoryFit>(cluster, place(a_vm().memory(gibibytes(2))));
    EXPECT_THAT(verdict, rejects(AllOf(HasSubstr("needs 2.1 GiB"), HasSubstr("of 6 GiB"))));
    EXPECT_TRUE(verdict.about_room);
    EXPECT_THAT(verdict.fits_if, HasSubstr("freed on h1"));
    EXPECT_THAT(ask<MemoryFit>(cluster, place(a_vm().memory(gibibytes(1)))), accepts());
}

TEST(MemoryFit, SaysThatAVmLargerThanTheHostNeverFits) {
    const auto verdict =
        ask<MemoryFit>(a_cluster().with(a_host().memory(gibibytes(4))).build(), place(a_vm().memory(gibibytes(4))));
    EXPECT_FALSE(verdict.accepted);
    EXPECT_FALSE(verdict.about_room);
}

TEST(MemoryFit, CountsWhatQemuItselfNeeds) {
    const auto host = a_host().memory(mebibytes(512));
    EXPECT_THAT(ask<MemoryFit>(a_cluster().with(host).build(), place(a_vm().memory(mebibytes(500)))),
                rejects(HasSubstr("for QEMU")));
}

DiskSpec new_disk(const std::string& pool, const std::string& image = {}) {
    DiskSpec disk;
    disk.pool = pool;
    disk.image = image;
    disk.size = gibibytes(1);
    return disk;
}

TEST(StorageReachable, WantsThePoolActiveOnTheHost) {
    const auto vm = a_vm().disk(new_disk("data"));
    EXPECT_THAT(ask<StorageReachable>(a_cluster().with(a_host()).build(), place(vm)),
                rejects("has no pool named data"));
    EXPECT_THAT(ask<StorageReachable>(a_cluster().with(a_host()).with(a_pool("h1", "data", false)).build(), place(vm)),
                rejects(HasSubstr("not active")));
    EXPECT_THAT(ask<StorageReachable>(a_cluster().with(a_host()).with(a_pool("h1", "data")).build(), place(vm)),
                accepts());
}

TEST(StorageReachable, TakesAnImageOfAnotherHostOnlyWhereThePairHasProvenToShareThePool) {
    auto cluster =
        a_cluster().with(a_host("h1")).with(a_host("h2")).with(a_pool("h1", "data")).with(a_pool("h2", "data"));
    cluster.with(an_image("tiny", "data", "h2"));
    const auto vm = a_vm().disk(new_disk("data", "tiny"));
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), place(vm)),
                rejects(HasSubstr("image tiny lies in pool data of h2, which h1 is not proven to share")));
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), place(vm), "h2"), accepts());
    EXPECT_THAT(ask<StorageReachable>(cluster.with(a_pair("h2", "h1").shares("data")).build(), place(vm)), accepts());
}

TEST(StorageReachable, RefusesAnImageThatDoesNotExist) {
    const auto cluster = a_cluster().with(a_host()).with(a_pool("h1", "data")).build();
    EXPECT_THAT(ask<StorageReachable>(cluster, place(a_vm().disk(new_disk("data", "nope")))),
                rejects("no image is named nope"));
}

TEST(StorageReachable, RefusesAnAdoptedDiskOutsideAnyPoolElsewhere) {
    DiskSpec disk;
    disk.path = "/srv/db.qcow2";
    const auto vm = a_vm().disk(disk).on("h1").running();
    const auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm).build();
    EXPECT_THAT(ask<StorageReachable>(cluster, move(vm, "h1"), "h2"), rejects(HasSubstr("no pool of h1")));
    EXPECT_THAT(ask<StorageReachable>(cluster, place(vm), "h1"), accepts());
}

TEST(StorageReachable, FindsThePoolOfAnAdoptedDiskByItsFolder) {
    DiskSpec disk;
    disk.path = "/pools/data/db.qcow2";
    const auto vm = a_vm().disk(disk).on("h1").running();
    auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm).with(a_pool("h1", "data"));
    cluster.with(a_pool("h2", "data"));
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), move(vm, "h1"), "h2"), rejects(HasSubstr("not proven")));
    EXPECT_THAT(ask<StorageReachable>(cluster.with(a_pair("h1", "h2").shares("data")).build(), move(vm, "h1"), "h2"),
                accepts());
}

TEST(StorageReachable, TakesADiskThatIsCopiedAlongWhereItHasAPool) {
    DiskSpec disk;
    disk.path = "/pools/local/db.qcow2";
    const auto vm = a_vm().disk(disk).on("h1").running();
    auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm).with(a_pool("h1", "local"));
    auto request = move(vm, "h1");
    request.copy_disks = true;
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), request, "h2"), rejects("has no pool named local"));
    cluster.with(a_pool("h2", "local"));
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), request, "h2"), accepts());
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), move(vm, "h1"), "h2"), rejects(HasSubstr("not proven")));
    disk.read_only = true;
    request.spec = a_vm().disk(disk).spec();
    EXPECT_THAT(ask<StorageReachable>(cluster.build(), request, "h2"), rejects(HasSubstr("not proven")))
        << "libvirt copies only what is written to";
}

TEST(NetworkReachable, WantsActiveNetworksAndBridges) {
    const auto cluster = a_cluster().with(a_host()).build();
    EXPECT_THAT(ask<NetworkReachable>(cluster, place(a_vm().network("default").bridge("br0"))), accepts());
    EXPECT_THAT(ask<NetworkReachable>(cluster, place(a_vm().network("dmz"))), rejects("has no active network dmz"));
    EXPECT_THAT(ask<NetworkReachable>(cluster, place(a_vm().bridge("br9"))), rejects("has no bridge br9"));
}

TEST(HostLabels, WantsEveryLabelWithItsValue) {
    const auto cluster = a_cluster().with(a_host().label("disk", "ssd")).build();
    EXPECT_THAT(ask<HostLabels>(cluster, place(a_vm().wants_host_label("disk", "ssd"))), accepts());
    EXPECT_THAT(ask<HostLabels>(cluster, place(a_vm().wants_host_label("disk", "nvme"))),
                rejects("label disk is ssd (wanted nvme)"));
    EXPECT_THAT(ask<HostLabels>(cluster, place(a_vm().wants_host_label("gpu", "a100"))),
                rejects("has no label gpu (wanted a100)"));
}

TEST(AntiAffinity, SeesMembersThatRunAndThoseThatOnlyClaim) {
    const auto running = a_cluster().with(a_host()).with(a_vm("db1").group("db").on("h1").running()).build();
    EXPECT_THAT(ask<AntiAffinity>(running, place(a_vm("db2").group("db"))), rejects("group db is here already: db1"));
    EXPECT_THAT(ask<AntiAffinity>(running, place(a_vm("web").group("web"))), accepts());
    Claim claim = a_claim("j1", "h1", "db1", gibibytes(1));
    claim.anti_affinity = "db";
    EXPECT_THAT(ask<AntiAffinity>(a_cluster().with(a_host()).with(claim).build(), place(a_vm("db2").group("db"))),
                rejects(HasSubstr("db1")));
}

TEST(AntiAffinity, IgnoresTheVmItself) {
    const auto vm = a_vm("db1").group("db").on("h1").running();
    EXPECT_THAT(ask<AntiAffinity>(a_cluster().with(a_host()).with(vm).build(), place(vm)), accepts());
}

TEST(BoundToHost, RefusesEveryOtherHost) {
    const auto vm = a_vm().on("h1").bound_by("managed save");
    const auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm).build();
    EXPECT_THAT(ask<BoundToHost>(cluster, place(vm), "h2"), rejects("managed save binds the VM to h1"));
    EXPECT_THAT(ask<BoundToHost>(cluster, place(vm), "h1"), accepts());
}

TEST(PairReady, WantsACheckedPairWithoutRefusal) {
    const auto vm = a_vm().on("h1").running();
    auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm);
    EXPECT_THAT(ask<PairReady>(cluster.build(), move(vm, "h1"), "h2"), rejects(HasSubstr("never checked")));
    EXPECT_THAT(ask<PairReady>(cluster.build(), place(vm), "h2"), accepts());
    cluster.with(a_pair("h1", "h2"));
    EXPECT_THAT(ask<PairReady>(cluster.build(), move(vm, "h1"), "h2"), accepts());
    cluster.with(a_pair("h1", "h2").check({"peer_trust", CheckVerdict::refused, "no route", "open port 16509"}));
    const auto refused = ask<PairReady>(cluster.build(), move(vm, "h1"), "h2");
    EXPECT_THAT(refused, rejects(HasSubstr("peer_trust: no route")));
    EXPECT_EQ(refused.fits_if, "open port 16509");
}

TEST(RuleCatalog, NamesEveryRuleOnce) {
    std::vector<std::string_view> names;
    for (const RuleEntry& rule : rule_catalog()) names.push_back(rule.name);
    EXPECT_THAT(
        names, testing::UnorderedElementsAre("host_ready", "pair_ready", "bound_to_host", "pinned_hosts", "host_labels",
                                             "taints", "cpu_compatible", "storage_reachable", "network_reachable",
                                             "devices", "anti_affinity", "affinity", "group_limit", "spread",
                                             "numa_fit", "cpu_fit", "memory_fit", "working_set_fit", "n_plus_one"));
}

}  // namespace
}  // namespace ballast::scheduler
