#include "scheduler/capacity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using testing::HasSubstr;

std::shared_ptr<const Snapshot> published(const ClusterBuilder& cluster) {
    return std::make_shared<const Snapshot>(cluster.build());
}

PlacementRequest one_like(const VmBuilder& vm) {
    PlacementRequest request;
    request.spec = vm.spec();
    return request;
}

TEST(Capacity, CountsWhatFitsAndNamesWhatBreaksFirst) {
    // 1 GiB and QEMU's 112 MiB: three on 4 GiB, seven on 8 GiB.
    const auto cluster =
        published(a_cluster().with(a_host("h1").memory(gibibytes(4))).with(a_host("h2").memory(gibibytes(8))));
    const auto capacity = find_capacity(cluster, one_like(a_vm().memory(gibibytes(1))), 1000, 1);
    ASSERT_TRUE(capacity) << capacity.error().chain();
    EXPECT_EQ(capacity->more, 10);
    EXPECT_FALSE(capacity->at_least);
    EXPECT_EQ(capacity->limited_by, "memory_fit");
    ASSERT_EQ(capacity->hosts.size(), 2U);
    EXPECT_EQ(capacity->hosts[0].more, 3);
    EXPECT_EQ(capacity->hosts[1].more, 7);
    EXPECT_EQ(capacity->hosts[1].limited_by, "memory_fit");
    ASSERT_TRUE(capacity->first_break);
    EXPECT_EQ(capacity->first_break->host, "h1");
    EXPECT_LT(capacity->first_break->after, 10);
    EXPECT_THAT(capacity->summary, HasSubstr("10 more fit; memory_fit breaks"));
}

TEST(Capacity, SaysThatCoresBreakWhereMemoryIsPlenty) {
    const auto cluster = published(a_cluster().with(a_host().memory(gibibytes(512)).cpus(2).overcommit(3)));
    const auto capacity = find_capacity(cluster, one_like(a_vm().vcpus(2)), 1000, 1);
    EXPECT_EQ(capacity->more, 3);
    EXPECT_EQ(capacity->limited_by, "cpu_fit");
}

TEST(Capacity, KeepsTheRoomThatTheVmsOfALostHostWouldNeed) {
    const auto cluster =
        published(a_cluster().with(a_host("h1").memory(gibibytes(8))).with(a_host("h2").memory(gibibytes(8))));
    const auto request = one_like(a_vm().memory(gibibytes(1)));
    EXPECT_EQ(find_capacity(cluster, request, 1000, 1)->more, 14);
    Preferences preferences;
    preferences.n_plus_one = NPlusOne{.strength = Strength::must};
    const auto capacity = find_capacity(cluster, request, 1000, 1, preferences);
    EXPECT_EQ(capacity->more, 7) << "either host could hold all of them";
    EXPECT_EQ(capacity->limited_by, "n_plus_one");
}

TEST(Capacity, AGroupThatKeepsApartFitsOncePerHost) {
    const auto cluster =
        published(a_cluster().with(a_host("h1")).with(a_host("h2")).with(a_vm("db1").group("db").on("h2").running()));
    const auto capacity = find_capacity(cluster, one_like(a_vm().group("db")), 1000, 1);
    EXPECT_EQ(capacity->more, 1) << "a group larger than the cluster ends at its hosts";
    EXPECT_EQ(capacity->limited_by, "anti_affinity");
}

TEST(Capacity, StopsAtTheLimitAndSaysThatThereIsMore) {
    const auto capacity = find_capacity(published(a_cluster().with(a_host())), one_like(a_vm()), 2, 1);
    EXPECT_EQ(capacity->more, 2);
    EXPECT_TRUE(capacity->at_least);
    EXPECT_TRUE(capacity->limited_by.empty());
    EXPECT_THAT(capacity->summary, HasSubstr("at least 2 more fit"));
}

TEST(Capacity, OfNoHostsIsNone) {
    const auto capacity = find_capacity(published(a_cluster()), one_like(a_vm()), 10, 1);
    EXPECT_EQ(capacity->more, 0);
    EXPECT_FALSE(capacity->first_break);
    EXPECT_THAT(capacity->summary, HasSubstr("no host"));
}

TEST(Capacity, OfAVmLargerThanAnyHostIsNoneWithTheReason) {
    const auto capacity = find_capacity(published(a_cluster().with(a_host())),
                                        one_like(a_vm().memory(gibibytes(16384)).vcpus(512)), 10, 1);
    EXPECT_EQ(capacity->more, 0);
    EXPECT_EQ(capacity->hosts.front().limited_by, "cpu_fit");
    EXPECT_THAT(capacity->summary, HasSubstr("not one more fits"));
}

TEST(Capacity, RefusesALimitThatIsNone) {
    for (const std::int64_t limit : {std::int64_t{0}, std::int64_t{-5}, most_capacity + 1}) {
        const auto refused = find_capacity(published(a_cluster()), one_like(a_vm()), limit, 1);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Code::invalid_argument);
    }
}

}  // namespace
}  // namespace ballast::scheduler
