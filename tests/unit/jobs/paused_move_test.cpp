// vm.migrate of a VM that somebody has paused: it moves as it is, stays paused wherever it ends, and never switches to
// post-copy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using drivers::simulated::Cut;
using drivers::simulated::GuestLoad;
using migration::MigrationEventKind;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PausedMove : public ::testing::Test {
  protected:
    void SetUp() override {
        const auto made = cluster.do_job(
            "vm.create", "",
            R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})");
        ASSERT_EQ(made->state, JobState::succeeded);
        cluster.world->set_load(vm()->id, {.touched = mebibytes(256),
                                           .working_set = mebibytes(200),
                                           .dirty_rate = BytesPerSecond(400 * 1'048'576LL)});
        auto& virsh = cluster.registry->find(HostId("id-h1"))->migration();
        ASSERT_TRUE(run(*cluster.io, virsh.suspend(vm()->id)));
        ASSERT_TRUE(cluster.until([&] { return vm()->state == VmState::paused; }));
    }
    [[nodiscard]] std::shared_ptr<const Vm> vm() const { return cluster.vm("web1"); }
    [[nodiscard]] std::shared_ptr<const Migration> row(const JobId& id) const {
        return cluster.snapshot()->migrations.find_ptr(id);
    }
    [[nodiscard]] std::optional<DomainState> state_on(const std::string& host) const {
        const auto domain = cluster.world->find_domain(host, vm()->id);
        return domain ? std::optional(domain->state) : std::nullopt;
    }
    [[nodiscard]] std::vector<std::string> running() const { return cluster.world->running_copies(vm()->id); }

    SimCluster cluster;
};

TEST_F(PausedMove, ArrivesPausedWithoutARoundTooMany) {
    cluster.world->set_link("h1", "h2", BytesPerSecond(20 * 1'048'576));
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","policy":{"post_copy":true}})");
    ASSERT_EQ(moved->state, JobState::succeeded) << moved->error->message;
    EXPECT_EQ(state_on("h2"), DomainState::paused);
    EXPECT_EQ(state_on("h1"), std::nullopt);
    EXPECT_TRUE(cluster.until([&] { return vm()->state == VmState::paused; }));
    EXPECT_EQ(vm()->host, HostId("id-h2"));
    EXPECT_THAT(running(), IsEmpty());
    const auto record = row(moved->id);
    EXPECT_TRUE(record->paused);
    EXPECT_EQ(record->mode, MigrationMode::pre_copy) << "it writes nothing: a pull would gain nothing";
    EXPECT_FALSE(record->terms.post_copy);
    EXPECT_EQ(record->downtime, std::nullopt) << "nobody waited for it";
    EXPECT_LE(record->rounds.size(), 2U);
    EXPECT_FALSE(cluster.desk->curves().find(vm()->id)) << "it says nothing of the guest when it runs";
}

TEST_F(PausedMove, StaysPausedOnItsHostWhereTheMoveFailsOrIsCancelled) {
    cluster.world->set_link("h1", "h2", BytesPerSecond(20 * 1'048'576));
    for (const bool cancelled : {true, false}) {  // a cut comes last: the pair is checked while it lasts
        const auto queued = cluster.queue("vm.migrate", "web1", R"({"to":"h2"})");
        ASSERT_TRUE(queued);
        ASSERT_TRUE(cluster.until([&] { return row(queued->id) && row(queued->id)->phase == MigrationPhase::push; }));
        if (cancelled)
            ASSERT_TRUE(cluster.write([id = queued->id](store::Transaction& transaction) -> Result<void> {
                BALLAST_CHECK(jobs::request_cancel(transaction, id));
                return {};
            }));
        else
            cluster.world->faults().cut("h1", "h2", Cut::hard);
        const auto ended = cluster.wait(queued->id);
        EXPECT_EQ(ended->state, cancelled ? JobState::cancelled : JobState::failed);
        cluster.world->faults().heal("h1", "h2");
        EXPECT_EQ(state_on("h1"), DomainState::paused);
        EXPECT_TRUE(cluster.until([&] { return vm()->state == VmState::paused; }));
        EXPECT_THAT(running(), IsEmpty());
        EXPECT_EQ(vm()->host, HostId("id-h1"));
    }
}

TEST_F(PausedMove, OutlivesTheDaemon) {
    cluster.world->set_link("h1", "h2", BytesPerSecond(20 * 1'048'576));
    const auto queued = cluster.queue("vm.migrate", "web1", R"({"to":"h2"})");
    ASSERT_TRUE(cluster.until([&] { return row(queued->id) && row(queued->id)->phase == MigrationPhase::push; }));
    cluster.restart();
    EXPECT_EQ(cluster.wait(queued->id)->state, JobState::succeeded);
    EXPECT_EQ(state_on("h2"), DomainState::paused);
    EXPECT_THAT(running(), IsEmpty());
}

TEST_F(PausedMove, RefusesPostCopyByNameAndAsAnOperatorsWord) {
    for (const char* mode : {"post_copy", "hybrid"}) {
        const auto refused = cluster.do_job(
            "vm.migrate", "web1", fmt::format(R"({{"to":"h2","mode":"{}","policy":{{"post_copy":true}}}})", mode));
        EXPECT_EQ(refused->state, JobState::failed);
        EXPECT_THAT(refused->error->message, HasSubstr("web1 is paused, and post-copy is for guests that run"));
    }
    cluster.world->set_link("h1", "h2", BytesPerSecond(20 * 1'048'576));
    const auto queued = cluster.queue("vm.migrate", "web1", R"({"to":"h2","policy":{"post_copy":true}})");
    ASSERT_TRUE(cluster.until([&] { return row(queued->id) && row(queued->id)->phase == MigrationPhase::push; }));
    const auto word = cluster.desk->moves().ask(queued->id, {.kind = MigrationEventKind::switch_requested});
    ASSERT_FALSE(word);
    EXPECT_EQ(word.error().code(), Code::failed_precondition);
    EXPECT_EQ(cluster.wait(queued->id)->state, JobState::succeeded);
}

}  // namespace
}  // namespace ballast::testing
