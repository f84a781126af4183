// Each scorer by itself: which of two hosts it finds better, and that it says nothing where nothing is wished.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/scorers/avoided_taints.h"
#include "scheduler/scorers/catalog.h"
#include "scheduler/scorers/closeness.h"
#include "scheduler/scorers/contention.h"
#include "scheduler/scorers/load_left.h"
#include "scheduler/scorers/packing.h"
#include "scheduler/scorers/page_sharing.h"
#include "scheduler/scorers/power.h"
#include "scheduler/scorers/room_for_big.h"
#include "scheduler/scorers/wishes.h"
#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::DoubleNear;

template <class Scorer>
double value(const Snapshot& snapshot, const VmBuilder& vm, const std::string& host,
             const ClusterLoad* load = nullptr) {
    const PlacementRequest request = place(vm);
    const HostView view = view_host(snapshot, HostId(host), request.vm);
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm), .load = load};
    return Scorer{}(Candidate{snapshot, request, view, around});
}

VmLoad busy(double cores, double deviation = 0.1) {
    VmLoad load;
    load.cpu_mean = cores;
    load.cpu_deviation = deviation;
    return load;
}

/// Busy in one half of the day, idle in the other.
VmLoad by_half_day(double cores, bool mornings) {
    VmLoad load = busy(cores / 2);
    for (int hour = 0; hour < 24; ++hour) load.cpu_by_hour.push_back((hour < 12) == mornings ? cores : 0);
    return load;
}

TEST(Packing, PrefersTheFullerHost) {
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_vm("a").memory(gibibytes(8)).vcpus(4).on("h1").running())
                             .build();
    EXPECT_GT(value<Packing>(cluster, a_vm(), "h1"), value<Packing>(cluster, a_vm(), "h2"));
}

TEST(RoomForBig, KeepsHostsWholeForBigVmsToCome) {
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_vm("a").memory(gibibytes(10)).vcpus(2).on("h1").running())
                             .build();
    EXPECT_EQ(value<RoomForBig>(cluster, a_vm().memory(gibibytes(2)), "h1"), 1) << "no big one fits there any more";
    EXPECT_EQ(value<RoomForBig>(cluster, a_vm().memory(gibibytes(2)), "h2"), 0.5) << "of two big ones one is left";
}

TEST(PageSharing, CountsVmsOfTheSameImage) {
    DiskSpec debian;
    debian.image = "debian";
    DiskSpec other;
    other.image = "windows";
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_vm("a").disk(debian).on("h1").running())
                             .with(a_vm("b").disk(debian).on("h1").running())
                             .with(a_vm("c").disk(other).on("h2").running())
                             .build();
    EXPECT_THAT(value<PageSharing>(cluster, a_vm().disk(debian), "h1"), DoubleNear(2.0 / 3, 1e-9));
    EXPECT_EQ(value<PageSharing>(cluster, a_vm().disk(debian), "h2"), 0);
    EXPECT_EQ(value<PageSharing>(cluster, a_vm(), "h2"), 1) << "it has no image";
}

TEST(Closeness, PrefersTheRackAndThenTheZoneOfTheGroup) {
    VmPlacement web;
    web.groups = {"web"};
    const auto cluster = a_cluster()
                             .with(a_host("h1").zone("a").label("rack", "r1"))
                             .with(a_host("h2").zone("a").label("rack", "r1"))
                             .with(a_host("h3").zone("a").label("rack", "r2"))
                             .with(a_host("h4").zone("b").label("rack", "r3"))
                             .with(a_vm("a").placement(web).on("h1").running())
                             .build();
    EXPECT_EQ(value<Closeness>(cluster, a_vm("b").placement(web), "h2"), 1);
    EXPECT_EQ(value<Closeness>(cluster, a_vm("b").placement(web), "h3"), 0.5);
    EXPECT_EQ(value<Closeness>(cluster, a_vm("b").placement(web), "h4"), 0);
    EXPECT_EQ(value<Closeness>(cluster, a_vm("c"), "h4"), 1);
}

TEST(Contention, KeepsTwoAlwaysBusyVmsApart) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").cpus(2))
                             .with(a_host("h2").cpus(2))
                             .with(a_vm("busy").vcpus(2).on("h1").running())
                             .with(a_vm("idle").vcpus(2).on("h2").running())
                             .build();
    ClusterLoad load;
    load.vms[VmId("busy")] = busy(2);
    load.vms[VmId("idle")] = busy(0.05);
    load.vms[VmId("new")] = busy(2);
    const auto vm = a_vm("new").vcpus(2);
    EXPECT_THAT(value<Contention>(cluster, vm, "h1", &load), DoubleNear(0.5, 0.01)) << "half of what they want";
    EXPECT_GT(value<Contention>(cluster, vm, "h2", &load), 0.95);
    EXPECT_EQ(value<LoadLeft>(cluster, vm, "h1", &load), 0);
    EXPECT_EQ(value<Contention>(cluster, vm, "h1"), 1) << "nothing is known";
}

TEST(Contention, LetsVmsShareAHostThatAreBusyInTurn) {
    const auto cluster = a_cluster()
                             .with(a_host("h1").cpus(2))
                             .with(a_host("h2").cpus(2))
                             .with(a_vm("mornings").vcpus(2).on("h1").running())
                             .with(a_vm("evenings").vcpus(2).on("h2").running())
                             .build();
    ClusterLoad load;
    load.vms[VmId("mornings")] = by_half_day(2, true);
    load.vms[VmId("evenings")] = by_half_day(2, false);
    load.vms[VmId("new")] = by_half_day(2, false);
    const auto vm = a_vm("new").vcpus(2);
    EXPECT_GT(value<Contention>(cluster, vm, "h1", &load), value<Contention>(cluster, vm, "h2", &load) + 0.3);
}

TEST(Wishes, CountHowFarTheyHold) {
    const AffinityTerm apart{.group = "db", .kind = AffinityKind::apart, .strength = Strength::should};
    AffinityTerm together = apart;
    together.kind = AffinityKind::together;
    const auto cluster =
        a_cluster().with(a_host("h1")).with(a_host("h2")).with(a_vm("db1").asks(apart).on("h1").running()).build();
    EXPECT_EQ(value<Wishes>(cluster, a_vm("db2").asks(apart), "h1"), 0.5);
    EXPECT_EQ(value<Wishes>(cluster, a_vm("db2").asks(apart), "h2"), 1);
    EXPECT_EQ(value<Wishes>(cluster, a_vm("db2").asks(together), "h1"), 1);
    EXPECT_EQ(value<Wishes>(cluster, a_vm("db2").asks(together), "h2"), 0);
    EXPECT_EQ(value<Wishes>(cluster, a_vm("web"), "h1"), 1);
}

TEST(AvoidedTaints, MakeAHostTheLastChoice) {
    const auto cluster =
        a_cluster().with(a_host("h1").taint({"old", "", TaintEffect::avoid})).with(a_host("h2")).build();
    EXPECT_EQ(value<AvoidedTaints>(cluster, a_vm(), "h1"), 0.5);
    EXPECT_EQ(value<AvoidedTaints>(cluster, a_vm(), "h2"), 1);
    VmPlacement bears;
    bears.tolerations = {{"old", "", {}}};
    EXPECT_EQ(value<AvoidedTaints>(cluster, a_vm().placement(bears), "h1"), 1);
}

TEST(Power, PrefersAHostThatIsAwakeAndTheThriftierOne) {
    HostSettings thirsty;
    thirsty.idle_power = Watts(300);
    thirsty.max_power = Watts(900);
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2"))
                             .with(a_host("h3").settings(thirsty))
                             .with(a_vm("a").on("h1").running())
                             .build();
    EXPECT_GT(value<Power>(cluster, a_vm(), "h1"), value<Power>(cluster, a_vm(), "h2"));
    EXPECT_GT(value<Power>(cluster, a_vm(), "h2"), value<Power>(cluster, a_vm(), "h3"));
}

TEST(ScorerCatalog, SaysBetween0And1ForEveryHost) {
    const auto cluster = a_cluster()
                             .with(a_host("h1"))
                             .with(a_host("h2").cpus(0).memory(Bytes(0)))
                             .with(a_vm("a").memory(gibibytes(64)).vcpus(64).on("h1").running())
                             .build();
    ClusterLoad load;
    for (const char* host : {"h1", "h2"}) {
        const PlacementRequest request = place(a_vm());
        const HostView view = view_host(cluster, HostId(host), request.vm);
        const Surroundings around{.groups = {}, .load = &load};
        for (const ScorerEntry& scorer : scorer_catalog()) {
            const double value = scorer.score(Candidate{cluster, request, view, around});
            EXPECT_TRUE(value >= 0 && value <= 1) << scorer.name << " says " << value << " of " << host;
        }
    }
}

}  // namespace
}  // namespace ballast::scheduler
