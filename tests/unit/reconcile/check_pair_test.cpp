// The evidence of a pair of hosts, over the simulated driver: which pools are really one storage.
#include "daemon/reconcile/pair_check.h"
#include "tests/unit/reconcile/world_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

sim::PoolModel a_pool(std::string name, std::string path, std::string store = {}) {
    sim::PoolModel pool;
    pool.name = std::move(name);
    pool.path = std::move(path);
    pool.store = std::move(store);
    return pool;
}

class Pairs : public WorldTest {
  protected:
    Pairs() : WorldTest(0) {
        for (const auto* name : {"h1", "h2"})
            add_machine(name, {a_pool("shared", "/shared", "nas"), a_pool("local", "/local")});
    }
    void up(bool first_managed = true, bool second_managed = true) {
        start();
        add_host("h1", first_managed);
        add_host("h2", second_managed);
        ASSERT_TRUE(becomes("h1", HostState::up));
        ASSERT_TRUE(becomes("h2", HostState::up));
    }
    Result<HostPair> check(const std::string& from, const std::string& to) {
        return testing::run(io_, reconciler_->check_pair(HostId(from), HostId(to)));
    }
    static PairCheck find(const HostPair& pair, const std::string& name) {
        for (const auto& one : pair.checks)
            if (one.name == name) return one;
        ADD_FAILURE() << "no check is named " << name;
        return {};
    }
    std::size_t nonces(const std::string& host, const std::string& pool) {
        const auto volumes = outside(virsh(host).storage().list_volumes(pool));
        if (!volumes) return 999;
        return static_cast<std::size_t>(std::ranges::count_if(
            *volumes, [](const auto& volume) { return volume.name.starts_with("ballast-nonce-"); }));
    }
};

TEST_F(Pairs, ProveWhichPoolsAreOneStorage) {
    up();
    const auto pair = check("h1", "h2");
    ASSERT_TRUE(pair) << pair.error().chain();
    EXPECT_THAT(pair->shared_pools, ElementsAre("shared"));
    EXPECT_EQ(find(*pair, "shared_pool:shared").verdict, CheckVerdict::ok);
    EXPECT_THAT(find(*pair, "shared_pool:local"), AllOf(Field(&PairCheck::verdict, CheckVerdict::warning),
                                                        Field(&PairCheck::detail, HasSubstr("not the same storage"))));
    EXPECT_EQ(nonces("h1", "shared") + nonces("h1", "local") + nonces("h2", "shared"), 0U);
    const auto now = snapshot();
    ASSERT_NE(find_pair(*now, HostId("h1"), HostId("h2")), nullptr);
    EXPECT_EQ(find_pair(*now, HostId("h1"), HostId("h2"))->checked, pair->checked);
}

TEST_F(Pairs, NeverWriteToAnObservedHost) {
    up(true, false);
    const auto there = check("h1", "h2");
    ASSERT_TRUE(there) << there.error().chain();
    const auto back = check("h2", "h1");
    ASSERT_TRUE(back) << back.error().chain();
    for (const auto& pair : {*there, *back}) {
        EXPECT_THAT(pair.shared_pools, IsEmpty());
        EXPECT_EQ(find(pair, "shared_pool:shared").verdict, CheckVerdict::unknown);
        EXPECT_THAT(find(pair, "shared_pool:shared").detail, HasSubstr("h2 is observed"));
    }
    EXPECT_THAT(changes_->on(HostId("h2")), IsEmpty());
    EXPECT_THAT(changes_->on(HostId("h1")), IsEmpty());
}

TEST_F(Pairs, AFailedProofLeavesNoNonceBehind) {
    options_.pair_interval = std::chrono::hours(24);
    up();
    ASSERT_TRUE(eventually([&] { return snapshot()->pairs.size() == 2; }));
    world_->faults().fail_next("h1", sim::Call::upload, Error(Code::internal, "injected"));
    world_->faults().fail_next("h2", sim::Call::read_head, Error(Code::internal, "injected"));
    const auto pair = check("h1", "h2");
    ASSERT_TRUE(pair) << pair.error().chain();
    EXPECT_THAT(pair->shared_pools, IsEmpty());
    EXPECT_EQ(find(*pair, "shared_pool:shared").verdict, CheckVerdict::unknown);
    EXPECT_EQ(nonces("h1", "shared") + nonces("h1", "local"), 0U);
}

TEST_F(Pairs, RemoveTheNoncesThatACrashLeftBehindButNoYoungOnes) {
    const auto leave = [&](Timestamp made) {
        drivers::NewVolume volume;
        volume.pool = "shared";
        volume.format = "raw";
        volume.capacity = kibibytes(4);
        volume.name = nonce_name(made, ids_->uuid());
        ASSERT_TRUE(outside(virsh("h1").storage().create_volume(volume)));
    };
    world_->advance(std::chrono::hours(10));
    leave(world_->now() - std::chrono::hours(2));
    leave(world_->now() - std::chrono::minutes(1));
    ASSERT_EQ(nonces("h1", "shared"), 2U);
    up();
    ASSERT_TRUE(check("h1", "h2"));
    EXPECT_EQ(nonces("h1", "shared"), 1U) << "a young one may be another daemon's proof";
}

TEST_F(Pairs, RefuseOneHostTwiceAndHostsThatCanNotBeAsked) {
    up();
    EXPECT_EQ(check("h1", "h1").error().code(), Code::invalid_argument);
    EXPECT_EQ(check("h1", "nowhere").error().code(), Code::not_found);
    world_->faults().make_unreachable("h2");
    ASSERT_TRUE(becomes("h2", HostState::unreachable));
    EXPECT_EQ(check("h1", "h2").error().code(), Code::unavailable);
}

TEST_F(Pairs, AreCheckedByThemselvesOnceBothHostsAreManagedAndUp) {
    up(true, false);
    change_host_row("h2", [](Host& host) { host.managed = true; });
    ASSERT_TRUE(eventually([&] { return snapshot()->pairs.size() == 2; }));
    EXPECT_THAT(find_pair(*snapshot(), HostId("h2"), HostId("h1"))->shared_pools, ElementsAre("shared"));
}

class ManyPairs : public WorldTest {
  protected:
    ManyPairs() : WorldTest(10) {}
};

TEST_F(ManyPairs, AreCheckedSeveralAtOnceButNeverTwoOnOneHost) {
    start();
    for (int i = 1; i <= 10; ++i) add_host("h" + std::to_string(i), true);
    ASSERT_TRUE(eventually([&] { return snapshot()->pairs.size() == 90; }, std::chrono::seconds(30)));
    EXPECT_GT(changes_->most_probes_at_once(), 1U);
    EXPECT_LE(changes_->most_probes_at_once(), checks_at_once);
    EXPECT_FALSE(changes_->two_probes_shared_a_host());
}

TEST_F(Pairs, AreKeptFresh) {
    options_.pair_interval = Milliseconds(500);
    up();
    ASSERT_TRUE(eventually([&] { return snapshot()->pairs.size() == 2; }));
    const Timestamp first = find_pair(*snapshot(), HostId("h1"), HostId("h2"))->checked;
    world_->advance(std::chrono::minutes(1));
    ASSERT_TRUE(eventually([&] { return find_pair(*snapshot(), HostId("h1"), HostId("h2"))->checked > first; }));
}

TEST_F(Pairs, AnEvidenceThatNoLongerHoldsIsTakenBack) {
    up();
    ASSERT_TRUE(check("h1", "h2"));
    world_->faults().fill_pool("h1", "shared");
    const auto pair = check("h1", "h2");
    ASSERT_TRUE(pair) << pair.error().chain();
    EXPECT_THAT(pair->shared_pools, IsEmpty()) << "no proof, no sharing";
}

}  // namespace
}  // namespace ballast::reconcile
