// The rules about single hosts that VMs may ask for: pins, taints, devices, CPU features, NUMA cells and huge pages.
#include "scheduler/rules/cpu_compatible.h"
#include "scheduler/rules/devices.h"
#include "scheduler/rules/numa_fit.h"
#include "scheduler/rules/pinned_hosts.h"
#include "scheduler/rules/taints.h"
#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

VmBuilder asking(VmPlacement placement) {
    return a_vm("new").placement(std::move(placement));
}

TEST(PinnedHosts, TakesTheNamedHostsAndNoOther) {
    VmPlacement pinned;
    pinned.hosts = {"h2", "h3"};
    const auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).build();
    const auto refused = ask<PinnedHosts>(cluster, place(asking(pinned)));
    EXPECT_THAT(refused, rejects("the VM is pinned to h2, h3"));
    EXPECT_EQ(refused.fits_if, "the VM is pinned to h1, too");
    EXPECT_THAT(ask<PinnedHosts>(cluster, place(asking(pinned)), "h2"), accepts());
    EXPECT_THAT(ask<PinnedHosts>(cluster, place(a_vm())), accepts());
}

TEST(Taints, KeepOffWhoDoesNotBearThem) {
    const auto cluster = a_cluster().with(a_host().taint({"gpu", "a100", TaintEffect::no_place})).build();
    const auto refused = ask<Taints>(cluster, place(a_vm()));
    EXPECT_THAT(refused, rejects("has the taint gpu=a100:no_place, which the VM does not bear"));
    EXPECT_EQ(refused.fits_if, "the VM tolerates gpu=a100:no_place");
    VmPlacement bears;
    bears.tolerations = {{"gpu", "", {}}};
    EXPECT_THAT(ask<Taints>(cluster, place(asking(bears))), accepts());
}

TEST(Taints, ThatOnlySayAvoidRefuseNobody) {
    EXPECT_THAT(ask<Taints>(a_cluster().with(a_host().taint({"old", "", TaintEffect::avoid})).build(), place(a_vm())),
                accepts());
    EXPECT_THAT(
        ask<Taints>(a_cluster().with(a_host().taint({"old", "", TaintEffect::evacuate})).build(), place(a_vm())),
        rejects(HasSubstr("old:evacuate")));
}

TEST(Devices, CountWhatTheOthersWerePromised) {
    VmPlacement two;
    two.devices = {{"gpu", 2}};
    VmPlacement five;
    five.devices = {{"gpu", 5}};
    auto cluster = a_cluster().with(a_host().device("gpu", 4));
    EXPECT_THAT(ask<Devices>(cluster.build(), place(asking(two))), accepts());
    cluster.with(a_vm("a").placement(two).on("h1").running());
    Claim claim = a_claim("j1", "h1", "b", gibibytes(1));
    claim.placement.devices = {{"gpu", 1}};
    cluster.with(claim);
    const auto refused = ask<Devices>(cluster.build(), place(asking(two)));
    EXPECT_THAT(refused, rejects("needs 2 gpu, 1 of 4 are free"));
    EXPECT_TRUE(refused.about_room);
    EXPECT_EQ(refused.fits_if, "1 gpu are freed on h1");
    const auto never = ask<Devices>(cluster.build(), place(asking(five)));
    EXPECT_THAT(never, rejects("needs 5 gpu, the host has 4"));
    EXPECT_FALSE(never.about_room);
}

TEST(CpuCompatible, WantsEveryFeatureWhereTheHostListsAny) {
    VmPlacement wants;
    wants.cpu_features = {"avx2", "avx512f"};
    auto host = a_host();
    EXPECT_THAT(ask<CpuCompatible>(a_cluster().with(host).build(), place(asking(wants))), accepts())
        << "a host that lists none is not judged";
    HostFacts facts = host.facts_so_far();
    facts.cpu_features = {"avx2"};  // all that guests can have, the model's own among them
    const auto refused = ask<CpuCompatible>(a_cluster().with(host.facts(facts)).build(), place(asking(wants)));
    EXPECT_THAT(refused, rejects("its CPU has no avx512f, one of the 2 features that the VM needs"));
    EXPECT_EQ(refused.fits_if, "the VM does without avx512f");
}

TEST(CpuCompatible, RefusesAnotherCpuToAGuestThatWasGivenItsHostsOwn) {
    auto other = a_host("h2");
    HostFacts facts = other.facts_so_far();
    facts.cpu_model = "Skylake-Server";
    const auto vm = a_vm("db").cpu_model("host-passthrough").on("h1").running();
    const auto cluster = a_cluster().with(a_host("h1")).with(other.facts(facts)).with(a_host("h3")).with(vm).build();
    EXPECT_THAT(ask<CpuCompatible>(cluster, move(vm, "h1"), "h2"),
                rejects("its CPU is Skylake-Server, the VM was given that of h1 as it is: EPYC"));
    EXPECT_THAT(ask<CpuCompatible>(cluster, move(vm, "h1"), "h3"), accepts());
    EXPECT_THAT(ask<CpuCompatible>(cluster, place(vm), "h2"), accepts()) << "it may start anew anywhere";
}

std::vector<NumaCell> two_cells() {
    return {{.cell = 0, .memory = gibibytes(8), .cpus = 4, .pages = {{mebibytes(2), 1024}}},
            {.cell = 1, .memory = gibibytes(8), .cpus = 4, .pages = {{mebibytes(2), 512}}}};
}

VmPlacement on_cells(int cells, bool pinned = false) {
    VmPlacement placement;
    placement.numa = {.cells = cells, .pinned = pinned};
    return placement;
}

TEST(NumaFit, WantsTheMemoryOnEachCell) {
    const auto cluster = a_cluster().with(a_host().numa(two_cells())).build();
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(on_cells(1)).memory(gibibytes(8)))), accepts());
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(on_cells(2)).memory(gibibytes(12)))), accepts());
    const auto refused = ask<NumaFit>(cluster, place(asking(on_cells(1)).memory(gibibytes(10))));
    EXPECT_THAT(refused, rejects(AllOf(HasSubstr("needs 1 cells with 10 GiB each"), HasSubstr("cell 1: 8 GiB"))));
    EXPECT_FALSE(refused.about_room);
    EXPECT_EQ(ask<NumaFit>(cluster, place(asking(on_cells(3)).vcpus(3))).fits_if, "the VM asks for at most 2 cells");
}

TEST(NumaFit, CountsCoresThatAreTakenByPinnedVcpus) {
    const auto cluster = a_cluster()
                             .with(a_host().numa(two_cells()))
                             .with(a_vm("a").placement(on_cells(1, true)).vcpus(3).on("h1").running())
                             .with(a_vm("b").placement(on_cells(1, true)).vcpus(3).on("h1").running())
                             .build();
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(on_cells(1, true)).vcpus(1))), accepts());
    const auto refused = ask<NumaFit>(cluster, place(asking(on_cells(1, true)).vcpus(2)));
    EXPECT_THAT(refused, rejects(HasSubstr("2 cores of its own")));
    EXPECT_TRUE(refused.about_room);
    EXPECT_EQ(refused.fits_if, "VMs leave 1 of its cells");
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(on_cells(1)).vcpus(2))), accepts()) << "it pins nothing";
}

TEST(NumaFit, CountsHugePagesOfACellAndOfTheWholeHost) {
    VmPlacement pages;
    pages.hugepage_size = mebibytes(2);
    const auto cluster = a_cluster()
                             .with(a_host().numa(two_cells()))
                             .with(a_vm("a").placement(pages).memory(gibibytes(1)).on("h1").running())
                             .build();
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(pages).memory(gibibytes(2)))), accepts());
    const auto refused = ask<NumaFit>(cluster, place(asking(pages).memory(gibibytes(3))));
    EXPECT_THAT(refused, rejects(HasSubstr("needs 1536 pages of 2 MiB in all")));
    VmPlacement other = pages;
    other.hugepage_size = gibibytes(1);
    EXPECT_FALSE(ask<NumaFit>(cluster, place(asking(other).memory(gibibytes(1)))).accepted);
}

TEST(NumaFit, TakesAHostThatListsNoCellsForOneCell) {
    const auto cluster = a_cluster().with(a_host().memory(gibibytes(4)).cpus(2)).build();
    EXPECT_THAT(ask<NumaFit>(cluster, place(asking(on_cells(1, true)).memory(gibibytes(4)).vcpus(2))), accepts());
    EXPECT_FALSE(ask<NumaFit>(cluster, place(asking(on_cells(2)).vcpus(2))).accepted);
}

}  // namespace
}  // namespace ballast::scheduler
