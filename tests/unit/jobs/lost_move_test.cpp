// A QEMU that dies while the target pulls: the running state is lost, and the VM starts again from its disk, whatever
// dies or fails beside it (SAFETY.md 4).
#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"
#include "migration/machine.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using drivers::simulated::Call;
using drivers::simulated::Cut;
using drivers::simulated::GuestLoad;
using drivers::simulated::When;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LostMove : public ::testing::Test {
  protected:
    LostMove() { cluster.world->set_link("h1", "h2", BytesPerSecond(20 * 1'048'576)); }

    /// A VM on h1 that h2 is pulling; its move's id.
    JobId in_the_pull() {
        const auto made = cluster.do_job(
            "vm.create", "",
            R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})");
        EXPECT_TRUE(made && made->state == JobState::succeeded);
        vm = cluster.vm("web1")->id;
        cluster.world->set_load(vm, GuestLoad{.touched = mebibytes(256),
                                              .working_set = mebibytes(200),
                                              .dirty_rate = BytesPerSecond(400 * 1'048'576LL)});
        const auto job = cluster.queue("vm.migrate", "web1", R"({"to":"h2","mode":"post_copy"})");
        EXPECT_TRUE(job && cluster.until([&] { return phase(job->id) == MigrationPhase::pull; }));
        return job->id;
    }
    [[nodiscard]] std::optional<MigrationPhase> phase(const JobId& id) const {
        const auto row = cluster.snapshot()->migrations.find_ptr(id);
        return row ? std::optional(row->phase) : std::nullopt;
    }
    [[nodiscard]] int starts() const {
        int found = 0;
        cluster.snapshot()->jobs.for_each([&](const Job& job) { found += job.kind == "vm.start" ? 1 : 0; });
        return found;
    }
    void let_no_copy_be_ended_on(const std::string& host, int times) {
        for (int i = 0; i < times; ++i)
            cluster.world->faults().fail_next(host, Call::destroy, Error(Code::unavailable, "libvirtd restarts"));
    }
    void start_by_hand(const std::string& host) {
        const auto started = std::make_shared<std::optional<Result<void>>>();
        boost::asio::co_spawn(
            *cluster.io,
            [](auto driver, VmId id, auto outcome) -> boost::asio::awaitable<void> {
                *outcome = co_await driver->compute().start(id);
            }(cluster.registry->find(cluster.host(host)->id), vm, started),
            boost::asio::detached);
        ASSERT_TRUE(cluster.until([&] { return started->has_value(); }));
        ASSERT_TRUE(**started) << (*started)->error().chain();
    }
    /// Where it is defined: simulated hosts define the target's copy at the end of a pull only.
    void expect_restarted_once() {
        EXPECT_TRUE(cluster.until([&] { return cluster.world->running_copies(vm) == std::vector<std::string>{"h1"}; }));
        EXPECT_TRUE(cluster.until([&] {
            const auto row = cluster.vm("web1");
            return row->state == VmState::running && row->host == cluster.host("h1")->id && !row->job;
        })) << cluster.vm("web1")->state_reason;
        EXPECT_EQ(starts(), 1);
    }

    SimCluster cluster;
    VmId vm;
};

TEST_F(LostMove, StartsAgainFromItsDiskAndSaysSo) {
    const JobId job = in_the_pull();
    cluster.world->faults().kill_qemu("h1", vm);
    const auto ended = cluster.wait(job);
    ASSERT_TRUE(ended && ended->error);
    EXPECT_THAT(ended->error->message, HasSubstr("running state is lost"));
    EXPECT_EQ(phase(job), MigrationPhase::failed);
    expect_restarted_once();
}

TEST_F(LostMove, StartsAgainThoughTheCallNeverReturns) {
    cluster.world->faults().fail_next("h1", Call::migrate, Error(Code::internal, "never said"), When::no_answer);
    const JobId job = in_the_pull();
    cluster.world->faults().kill_qemu("h1", vm);
    const auto ended = cluster.wait(job);
    ASSERT_TRUE(ended) << ended.error().chain();
    EXPECT_EQ(phase(job), MigrationPhase::failed);
    expect_restarted_once();
}

TEST_F(LostMove, IsTriedAgainUntilTheHostsDoIt) {
    const JobId job = in_the_pull();
    let_no_copy_be_ended_on("h2", 3);
    cluster.world->faults().kill_qemu("h1", vm);
    EXPECT_TRUE(cluster.wait(job));
    expect_restarted_once();
}

TEST_F(LostMove, IsFinishedByTheNextDaemon) {
    const JobId job = in_the_pull();
    let_no_copy_be_ended_on("h2", 100);
    cluster.world->faults().kill_qemu("h1", vm);
    ASSERT_TRUE(cluster.until([&] { return phase(job) == MigrationPhase::failed; }));
    EXPECT_EQ(starts(), 0);
    cluster.restart();
    EXPECT_TRUE(cluster.wait(job));
    expect_restarted_once();
}

TEST_F(LostMove, IsNotRestartedByTheNextDaemonWhereItRunsAgain) {
    const JobId job = in_the_pull();
    let_no_copy_be_ended_on("h2", 1'000);
    cluster.world->faults().kill_qemu("h1", vm);
    ASSERT_TRUE(cluster.until([&] { return phase(job) == MigrationPhase::failed; }));
    cluster.world->faults().kill_qemu("h2", vm);
    start_by_hand("h1");
    cluster.restart();
    EXPECT_TRUE(cluster.wait(job));
    EXPECT_THAT(cluster.world->running_copies(vm), ElementsAre("h1"));
    EXPECT_EQ(starts(), 0);
}

TEST_F(LostMove, WhatStaysUndecidedForAMinuteIsAnAlertUntilItIsDecided) {
    const JobId job = in_the_pull();
    const auto alerted = [&] {
        return std::ranges::any_of(cluster.vm("web1")->alerts,
                                   [](const std::string& alert) { return alert.contains("still undecided"); });
    };
    cluster.world->faults().make_unreachable("h2");
    cluster.world->faults().cut("h1", "h2", Cut::hard);
    const Timestamp cut = cluster.world->now();
    ASSERT_TRUE(cluster.until(alerted));
    EXPECT_GE(cluster.world->now() - cut, std::chrono::seconds(60));
    cluster.world->faults().make_reachable("h2");
    cluster.world->faults().heal("h1", "h2");
    const auto moved = cluster.wait(job);
    ASSERT_TRUE(moved && moved->state == JobState::succeeded);
    EXPECT_FALSE(alerted());
}

TEST_F(LostMove, AJobThatWaitsForItsVmIsCalledOffAtOnce) {
    const JobId first = in_the_pull();
    const auto second = cluster.queue("vm.migrate", "web1", R"({"to":"h1"})");
    ASSERT_TRUE(second) << second.error().chain();
    const auto asked = cluster.write([id = second->id](store::Transaction& transaction) -> Result<void> {
        BALLAST_CHECK(jobs::request_cancel(transaction, id));
        return {};
    });
    ASSERT_TRUE(asked) << asked.error().chain();
    const auto ended = cluster.wait(second->id);
    ASSERT_TRUE(ended) << ended.error().chain();
    EXPECT_EQ(ended->state, JobState::cancelled);
    EXPECT_EQ(phase(first), MigrationPhase::pull);
    EXPECT_EQ(cluster.vm("web1")->job, first) << "the first goes on";
    const auto moved = cluster.wait(first);
    EXPECT_TRUE(moved && moved->state == JobState::succeeded);
}

}  // namespace
}  // namespace ballast::testing
