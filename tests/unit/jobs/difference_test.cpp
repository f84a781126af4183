// XBZRLE on simulated hosts: tried where nothing else may end a move, and judged afterwards by what it was worth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sim_cluster.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::testing {
namespace {

using drivers::simulated::GuestLoad;
using ::testing::ElementsAre;

constexpr BytesPerSecond slow_link(20 * 1'048'576LL);
constexpr std::string_view no_other_way =
    R"({"to":"h2","policy":{"post_copy":false,"max_throttle":0,"max_downtime_ms":300}})";

/// A guest that writes faster into its 100 MiB than the link takes, and changes this share of each page.
class Differences : public ::testing::Test {
  protected:
    void make(double delta) {
        const auto made = cluster.do_job(
            "vm.create", "",
            R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})");
        ASSERT_EQ(made->state, JobState::succeeded);
        const GuestLoad load{.touched = mebibytes(200),
                             .working_set = mebibytes(100),
                             .dirty_rate = BytesPerSecond(60 * 1'048'576LL),
                             .delta = delta};
        cluster.world->set_load(cluster.vm("web1")->id, load);
        cluster.world->set_link("h1", "h2", slow_link);
        tell_speed("h1");
        const VmId vm = cluster.vm("web1")->id;
        ASSERT_TRUE(cluster.desk->forecast(*cluster.vm("web1"), cluster.host("h2")->id, {})) << "a curve is wanted now";
        ASSERT_TRUE(cluster.until([&] { return cluster.desk->curves().find(vm).has_value(); }));
    }
    /// As an operator does: without it, any speed may be the link's.
    void tell_speed(const std::string& name) {
        Host host = *cluster.host(name);
        host.settings.link_speed = slow_link;
        const auto told = cluster.write([host](store::Transaction& transaction) -> Result<void> {
            transaction.put(host, {"host.changed", "its link speed is known"});
            return {};
        });
        ASSERT_TRUE(told) << told.error().chain();
    }
    [[nodiscard]] std::vector<std::string> running_on() const {
        return cluster.world->running_copies(cluster.vm("web1")->id);
    }

    SimCluster cluster;
};

TEST_F(Differences, EndAMoveThatNothingElseEnds) {
    make(0.02);
    const auto moved = cluster.do_job("vm.migrate", "web1", std::string(no_other_way));
    ASSERT_TRUE(moved) << moved.error().chain();
    ASSERT_EQ(moved->state, JobState::succeeded) << moved->error->message;
    const auto row = cluster.snapshot()->migrations.find_ptr(moved->id);
    EXPECT_TRUE(row->knobs.xbzrle);
    ASSERT_TRUE(row->compression);
    EXPECT_GT(row->compression->pages, 0);
    EXPECT_THAT(running_on(), ElementsAre("h2"));
}

TEST_F(Differences, ThatAreAsLargeAsThePagesEndTheMoveEarlyAndAreNotTriedAgain) {
    make(0.97);
    const auto tried = cluster.do_job("vm.migrate", "web1", std::string(no_other_way));
    ASSERT_TRUE(tried) << tried.error().chain();
    EXPECT_EQ(tried->state, JobState::failed);
    const auto row = cluster.snapshot()->migrations.find_ptr(tried->id);
    ASSERT_TRUE(row) << "it was started, so there is a record of it";
    EXPECT_LT(row->rounds.size(), 12U);
    EXPECT_THAT(running_on(), ElementsAre("h1"));
    jobs::ForecastAsk ask;
    ask.terms.max_downtime = Milliseconds(300);
    ask.terms.max_throttle = 0;
    const auto forecast = cluster.desk->forecast(*cluster.vm("web1"), cluster.host("h2")->id, ask);
    ASSERT_TRUE(forecast) << forecast.error().chain();
    EXPECT_FALSE(migration::of_mode(*forecast, MigrationMode::pre_copy).knobs.xbzrle);
    ASSERT_TRUE(forecast->input.delta);
    EXPECT_NEAR(*forecast->input.delta, 0.97, 0.02);
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST_F(Differences, AskedForWithACacheThatTheSourceHasNoRoomForAreRefused) {
    make(0.02);
    const auto job =
        cluster.do_job("vm.migrate", "web1",
                       R"({"to":"h2","mode":"pre_copy","knobs":{"xbzrle":true,"xbzrle_cache_bytes":1099511627776}})");
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(job->error->message, ::testing::HasSubstr("for its cache on h1"));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
    EXPECT_THAT(running_on(), ElementsAre("h1"));
}

TEST_F(Differences, CountOnAnOvercommittedHostWhatIsThereAndNotWhatIsGuaranteed) {
    make(0.02);
    Host host = *cluster.host("h1");
    host.memory_policy = MemoryPolicy::balanced;
    ASSERT_TRUE(cluster.write([host](store::Transaction& transaction) -> Result<void> {
        transaction.put(host, {"host.changed", "its memory is overcommitted"});
        return {};
    }));
    const auto memory = std::make_shared<scheduler::ShareOfMaximum>(0.1);
    memory->free = mebibytes(8);
    cluster.preferences.memory = memory;
    const auto asked = cluster.do_job(
        "vm.migrate", "web1", R"({"to":"h2","mode":"pre_copy","knobs":{"xbzrle":true,"xbzrle_cache_bytes":67108864}})");
    ASSERT_TRUE(asked) << asked.error().chain();
    EXPECT_EQ(asked->state, JobState::failed);
    EXPECT_THAT(asked->error->message, ::testing::HasSubstr("for its cache on h1, which can spare 8 MiB"));
    const auto forecast = cluster.desk->forecast(*cluster.vm("web1"), cluster.host("h2")->id, {});
    ASSERT_TRUE(forecast) << forecast.error().chain();
    EXPECT_EQ(forecast->input.cache_room, mebibytes(8)) << "nor is a larger one chosen";
}

}  // namespace
}  // namespace ballast::testing
