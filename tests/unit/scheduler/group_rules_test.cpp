// The rules about groups: apart, together, at most so many, evenly spread; on hosts and in zones.
#include "scheduler/rules/affinity.h"
#include "scheduler/rules/anti_affinity.h"
#include "scheduler/rules/group_limit.h"
#include "scheduler/rules/spread.h"
#include "tests/unit/scheduler/ask.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

AffinityTerm term(AffinityKind kind, AffinityScope scope = AffinityScope::host, int limit = 1) {
    return {.group = "db", .kind = kind, .strength = Strength::must, .scope = scope, .limit = limit};
}

VmBuilder member(const std::string& name, const AffinityTerm& wish) {
    return a_vm(name).asks(wish);
}

VmBuilder silent_member(const std::string& name) {
    VmPlacement placement;
    placement.groups = {"db"};
    return a_vm(name).placement(placement);
}

ClusterBuilder two_zones() {
    return a_cluster()
        .with(a_host("h1").zone("a"))
        .with(a_host("h2").zone("a"))
        .with(a_host("h3").zone("b"))
        .with(a_host("h4").zone("b"));
}

TEST(AntiAffinity, AsATermIsTheSameAsItsShortForm) {
    const auto apart = term(AffinityKind::apart);
    const auto cluster = a_cluster().with(a_host("h1")).with(a_vm("db1").group("db").on("h1").running()).build();
    const auto refused = ask<AntiAffinity>(cluster, place(member("db2", apart)));
    EXPECT_THAT(refused, rejects("group db is here already: db1"));
    EXPECT_EQ(refused.fits_if, "db1 leaves h1");
    EXPECT_THAT(ask<AntiAffinity>(cluster, place(silent_member("db2"))), rejects(HasSubstr("db1")))
        << "who joins a group that keeps apart is kept apart, too";
}

TEST(AntiAffinity, IsAWishAndNoRuleWhereItSaysShould) {
    AffinityTerm wish = term(AffinityKind::apart);
    wish.strength = Strength::should;
    const auto cluster = a_cluster().with(a_host("h1")).with(member("db1", wish).on("h1").running()).build();
    EXPECT_THAT(ask<AntiAffinity>(cluster, place(member("db2", wish))), accepts());
}

TEST(AntiAffinity, ReachesOverTheWholeZone) {
    const auto apart = term(AffinityKind::apart, AffinityScope::zone);
    const auto cluster = two_zones().with(member("db1", apart).on("h1").running()).build();
    EXPECT_THAT(ask<AntiAffinity>(cluster, place(member("db2", apart)), "h2"),
                rejects("group db is in zone a already: db1"));
    EXPECT_THAT(ask<AntiAffinity>(cluster, place(member("db2", apart)), "h3"), accepts());
}

TEST(AntiAffinity, TakesHostsWithoutAZoneForOneZone) {
    const auto apart = term(AffinityKind::apart, AffinityScope::zone);
    const auto cluster =
        a_cluster().with(a_host("h1")).with(a_host("h2")).with(member("db1", apart).on("h1").running()).build();
    EXPECT_THAT(ask<AntiAffinity>(cluster, place(member("db2", apart)), "h2"),
                rejects(HasSubstr("the hosts without a zone")));
}

TEST(Affinity, DrawsAVmToTheHostOfItsGroup) {
    const auto together = term(AffinityKind::together);
    const auto cluster = two_zones().with(member("db1", together).on("h1").running()).build();
    EXPECT_THAT(ask<Affinity>(cluster, place(member("db2", together)), "h1"), accepts());
    const auto refused = ask<Affinity>(cluster, place(member("db2", together)), "h2");
    EXPECT_THAT(refused, rejects("group db keeps together and is elsewhere: 1 on h1"));
    EXPECT_EQ(refused.fits_if, "the other VM of db moves to h2");
    EXPECT_THAT(ask<Affinity>(cluster, place(member("db1", together)), "h2"), accepts()) << "alone it may go anywhere";
}

TEST(Affinity, IsContentWithAnyHostOfTheZoneWhereThatIsItsScope) {
    const auto together = term(AffinityKind::together, AffinityScope::zone);
    const auto cluster = two_zones().with(member("db1", together).on("h1").running()).build();
    EXPECT_THAT(ask<Affinity>(cluster, place(member("db2", together)), "h2"), accepts());
    EXPECT_THAT(ask<Affinity>(cluster, place(member("db2", together)), "h3"), rejects(HasSubstr("1 in zone a")));
}

TEST(Affinity, LetsAGroupLeaveAHostInMaintenanceOneByOne) {
    const auto together = term(AffinityKind::together);
    auto cluster = a_cluster().with(a_host("h1").in_maintenance()).with(a_host("h2")).with(a_host("h3"));
    cluster.with(member("db1", together).on("h1").running()).with(member("db2", together).on("h1").running());
    EXPECT_THAT(ask<Affinity>(cluster.build(), place(member("db1", together)), "h2"), accepts());
    cluster.with(member("db1", together).on("h2").running());
    EXPECT_THAT(ask<Affinity>(cluster.build(), place(member("db2", together)), "h2"), accepts());
    EXPECT_THAT(ask<Affinity>(cluster.build(), place(member("db2", together)), "h3"), rejects(HasSubstr("1 on h2")));
}

TEST(GroupLimit, CountsTheVmsOfTheGroupAndNamesWhoMustLeave) {
    const auto two = term(AffinityKind::limit, AffinityScope::host, 2);
    auto cluster = two_zones().with(member("db1", two).on("h1").running());
    EXPECT_THAT(ask<GroupLimit>(cluster.build(), place(member("new", two))), accepts());
    cluster.with(member("db2", two).on("h1").running());
    const auto refused = ask<GroupLimit>(cluster.build(), place(member("new", two)));
    EXPECT_THAT(refused, rejects("h1 holds 2 VMs of group db, its limit is 2"));
    EXPECT_EQ(refused.fits_if, "db1 leaves h1");
    EXPECT_THAT(ask<GroupLimit>(cluster.build(), place(member("new", two)), "h2"), accepts());
}

TEST(GroupLimit, TakesTheStricterOfTwoLimitsAndReachesOverZones) {
    const auto wide = term(AffinityKind::limit, AffinityScope::zone, 3);
    const auto strict = term(AffinityKind::limit, AffinityScope::zone, 1);
    const auto cluster = two_zones().with(member("db1", strict).on("h2").running()).build();
    EXPECT_THAT(ask<GroupLimit>(cluster, place(member("new", wide))),
                rejects("zone a holds 1 VMs of group db, its limit is 1"));
    EXPECT_THAT(ask<GroupLimit>(cluster, place(member("new", wide)), "h3"), accepts());
}

TEST(Spread, KeepsZonesWithinSoManyOfTheEmptiest) {
    const auto even = term(AffinityKind::spread, AffinityScope::zone, 1);
    auto cluster = two_zones().with(member("db1", even).on("h1").running());
    const auto refused = ask<Spread>(cluster.build(), place(member("db2", even)), "h2");
    EXPECT_THAT(refused, rejects("zone a would hold 2 VMs of group db, the emptiest zone holds 0; at most 1 more are "
                                 "allowed"));
    EXPECT_EQ(refused.fits_if, "1 of its VMs leaves zone a");
    EXPECT_THAT(ask<Spread>(cluster.build(), place(member("db2", even)), "h3"), accepts());
    cluster.with(member("db2", even).on("h4").running());
    EXPECT_THAT(ask<Spread>(cluster.build(), place(member("db3", even)), "h2"), accepts());
}

TEST(Spread, DoesNotWaitForAZoneThatAcceptsNoWork) {
    const auto even = term(AffinityKind::spread, AffinityScope::zone, 1);
    const auto cluster = a_cluster()
                             .with(a_host("h1").zone("a"))
                             .with(a_host("h2").zone("b").in_maintenance())
                             .with(member("db1", even).on("h1").running())
                             .build();
    EXPECT_THAT(ask<Spread>(cluster, place(member("db2", even))), accepts());
}

TEST(Spread, WorksOnHostsToo) {
    const auto even = term(AffinityKind::spread, AffinityScope::host, 1);
    auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(member("db1", even).on("h1").running());
    EXPECT_THAT(ask<Spread>(cluster.build(), place(member("db2", even))), rejects(HasSubstr("h1 would hold 2")));
    cluster.with(member("db2", even).on("h2").running());
    EXPECT_THAT(ask<Spread>(cluster.build(), place(member("db3", even))), accepts());
}

TEST(ViewGroups, CountsAVmOnBothSidesOfItsMoveOnceEach) {
    const auto apart = term(AffinityKind::apart);
    auto cluster = two_zones().with(member("db1", apart).on("h1").running());
    Claim claim = a_claim("j1", "h3", "db1", gibibytes(1));
    claim.placement = member("db1", apart).spec().placement;
    cluster.with(claim);
    const Groups groups = view_groups(cluster.build(), nullptr, VmId());
    ASSERT_NE(groups.find("db"), nullptr);
    EXPECT_EQ(groups.find("db")->members, 2);
    EXPECT_EQ(groups.find("db")->by_host.at(HostId("h3")), 1);
    EXPECT_EQ(groups.zones.at("b"), 2);
    EXPECT_EQ(view_groups(cluster.build(), nullptr, VmId("db1")).find("db"), nullptr);
}

}  // namespace
}  // namespace ballast::scheduler
