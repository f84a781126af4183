#include "daemon/jobs/placer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

scheduler::PlacementRequest a_request(const std::string& vm) {
    scheduler::PlacementRequest request;
    request.vm = VmId(vm);
    request.spec.memory = gibibytes(1);
    return request;
}

Claim claim_for(const SimCluster& cluster, const std::string& vm, const HostId& host) {
    return scheduler::make_claim(*cluster.snapshot(), host, a_request(vm), JobId("job-of-" + vm), {});
}

std::optional<HostId> decided(const SimCluster& cluster, const std::string& vm, std::uint64_t seed,
                              const scheduler::Preferences& preferences = {}) {
    return scheduler::decide(*cluster.snapshot(), a_request(vm), seed, preferences).chosen;
}

Result<store::Committed> store_claim(SimCluster& cluster, const Claim& claim) {
    return cluster.write([claim](store::Transaction& transaction) -> Result<void> {
        transaction.put(claim, {"claim.made", ""});
        return {};
    });
}

TEST(Placer, ChoosesWhatTheFullPlacementChoosesAndFollowsTheStore) {
    SimCluster cluster(4);
    const auto placer = std::make_shared<jobs::Placer>(cluster.store);
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const std::string vm = fmt::format("vm{}", seed);
        const auto host = placer->choose(a_request(vm), seed);
        ASSERT_TRUE(host);
        EXPECT_EQ(host, decided(cluster, vm, seed));
        ASSERT_TRUE(store_claim(cluster, claim_for(cluster, vm, *host)));
    }
}

TEST(Placer, CountsWhatIsHeldUntilItIsLetGo) {
    SimCluster cluster(2);
    const auto placer = std::make_shared<jobs::Placer>(cluster.store);
    const auto first = placer->choose(a_request("a"), 1);
    ASSERT_TRUE(first);
    {
        const auto hold = placer->hold(claim_for(cluster, "a", *first));
        const auto other = placer->choose(a_request("b"), 1);
        ASSERT_TRUE(other);
        EXPECT_NE(*other, *first);
        EXPECT_EQ(decided(cluster, "b", 1), first) << "no snapshot has it yet";
    }
    EXPECT_EQ(placer->choose(a_request("b"), 1), first);
}

TEST(Placer, AStoredClaimCountsOnWhenItsHoldEnds) {
    SimCluster cluster(2);
    const auto placer = std::make_shared<jobs::Placer>(cluster.store);
    const HostId first = placer->choose(a_request("a"), 1).value_or(HostId());
    {
        const auto hold = placer->hold(claim_for(cluster, "a", first));
        ASSERT_TRUE(store_claim(cluster, claim_for(cluster, "a", first)));
    }
    EXPECT_EQ(placer->choose(a_request("b"), 1), decided(cluster, "b", 1));
    EXPECT_NE(placer->choose(a_request("b"), 1), first);
}

TEST(Placer, ComparesHostsAsItIsToldTo) {
    SimCluster cluster(3);
    const auto placer = std::make_shared<jobs::Placer>(cluster.store);
    const HostId first = placer->choose(a_request("a"), 1).value_or(HostId());
    ASSERT_TRUE(store_claim(cluster, claim_for(cluster, "a", first)));
    EXPECT_NE(placer->choose(a_request("b"), 1), first);
    scheduler::Preferences packing;
    packing.policies.standard = "pack";
    placer->prefer(packing);
    EXPECT_EQ(placer->choose(a_request("b"), 1), first);
    EXPECT_EQ(placer->choose(a_request("b"), 1), decided(cluster, "b", 1, packing));
}

}  // namespace
}  // namespace ballast::testing
