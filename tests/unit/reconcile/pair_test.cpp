// The pure parts of a pair's check.
#include <gmock/gmock.h>

#include "daemon/reconcile/pair_check.h"
#include "tests/support/builders.h"

namespace ballast::reconcile {
namespace {

using ballast::test::a_cluster;
using ballast::test::a_host;
using ballast::test::a_pool;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

CheckVerdict verdict(const std::vector<PairCheck>& checks, const std::string& name) {
    for (const auto& check : checks)
        if (check.name == name) return check.verdict;
    ADD_FAILURE() << "no check is named " << name;
    return CheckVerdict::unknown;
}

TEST(ComparedHosts, MayMoveFromOldToNewOnly) {
    const Host old = a_host("h1").qemu(7'002'000).build();
    const Host fresh = a_host("h2").qemu(8'000'000).build();
    EXPECT_EQ(verdict(compare_hosts(old, fresh), "qemu_versions"), CheckVerdict::ok);
    EXPECT_EQ(verdict(compare_hosts(fresh, old), "qemu_versions"), CheckVerdict::refused);
}

TEST(ComparedHosts, MustBeTwo) {
    const Host one = a_host("h1").build();
    Host same = a_host("h2").build();
    EXPECT_EQ(verdict(compare_hosts(one, same), "host_identity"), CheckVerdict::ok);
    same.facts.host_uuid = one.facts.host_uuid;
    EXPECT_EQ(verdict(compare_hosts(one, same), "host_identity"), CheckVerdict::refused);
}

TEST(ComparedHosts, ShareMachineTypesAndCpuModels) {
    const Host one = a_host("h1").build();
    Host other = a_host("h2").build();
    EXPECT_EQ(verdict(compare_hosts(one, other), "machine_types"), CheckVerdict::ok);
    other.facts.machine_types = {"pc-q35-7.2"};
    EXPECT_EQ(verdict(compare_hosts(one, other), "machine_types"), CheckVerdict::warning);
    other.facts.cpu_models = {"Haswell"};
    EXPECT_EQ(verdict(compare_hosts(one, other), "cpu_models"), CheckVerdict::refused);
    other.facts.machine_types.clear();
    EXPECT_EQ(verdict(compare_hosts(one, other), "machine_types"), CheckVerdict::unknown);
}

TEST(ComparedHosts, AreComparedByEachFeatureOfTheirCpus) {
    const Host to = a_host("h2").build();
    EXPECT_EQ(compare_features(to, {"aes", "avx"}, {"aes", "avx", "avx512f"}).check.verdict, CheckVerdict::ok);
    const auto [lacks, missing] = compare_features(to, {"aes", "avx", "avx512f", "pku"}, {"aes", "fma"});
    EXPECT_EQ(missing, (std::vector<std::string>{"avx", "avx512f", "pku"}));
    EXPECT_EQ(lacks.verdict, CheckVerdict::warning) << "VMs of a named model may move all the same";
    EXPECT_EQ(lacks.detail, "the CPU of h2 lacks avx, avx512f, pku");
    EXPECT_THAT(lacks.way_out, HasSubstr("a CPU model that both hosts have"));
    EXPECT_EQ(compare_features(to, {}, {"aes"}).check.verdict, CheckVerdict::unknown);
    EXPECT_EQ(compare_features(to, {"aes"}, {}).check.verdict, CheckVerdict::unknown);
}

TEST(ANonce, IsNeverWrittenWhereItMustNotBe) {
    auto iscsi = a_pool("h1", "luns");
    iscsi.type = "iscsi-direct";
    auto luns = iscsi;
    luns.id = pool_id(HostId("h2"), "luns");
    luns.host = HostId("h2");
    const auto snapshot = a_cluster()
                              .with(a_pool("h1", "a"))
                              .with(a_pool("h2", "a"))
                              .with(a_pool("h1", "off"))
                              .with(a_pool("h2", "off", false))
                              .with(a_pool("h1", "alone"))
                              .with(iscsi)
                              .with(luns)
                              .build();
    const Host h1 = a_host("h1").build();
    const Host h2 = a_host("h2").build();
    EXPECT_THAT(common_pools(snapshot, h1.id, h2.id), ElementsAre("a", "luns", "off"));
    EXPECT_EQ(obstacle(snapshot, h1, h2, "a"), "");
    EXPECT_THAT(obstacle(snapshot, h1, h2, "off"), HasSubstr("not active on h2"));
    EXPECT_THAT(obstacle(snapshot, h1, h2, "luns"), HasSubstr("takes no file"));
    EXPECT_THAT(obstacle(snapshot, h1, a_host("h2").observed().build(), "a"), HasSubstr("h2 is observed"));
    EXPECT_THAT(obstacle(snapshot, a_host("h1").observed().build(), h2, "a"), HasSubstr("h1 is observed"));
    EXPECT_THAT(obstacle(snapshot, h1, a_host("h2").state(HostState::unreachable).build(), "a"),
                HasSubstr("can't be asked"));
}

TEST(ALeftoverNonce, IsOneThatIsOldAndOurs) {
    const Timestamp then{std::chrono::hours(1'000)};
    const std::string nonce = nonce_name(then, "0b0c7a0e-0000-4000-8000-000000000000");
    EXPECT_FALSE(is_leftover(nonce, then + std::chrono::minutes(59)));
    EXPECT_TRUE(is_leftover(nonce, then + std::chrono::minutes(61)));
    const Timestamp later = then + std::chrono::hours(100);
    EXPECT_FALSE(is_leftover("web1.qcow2", later));
    EXPECT_FALSE(is_leftover("ballast-nonce-", later));
    EXPECT_FALSE(is_leftover("ballast-nonce-12", later));
    EXPECT_FALSE(is_leftover("ballast-nonce-x-12", later));
}

}  // namespace
}  // namespace ballast::reconcile
