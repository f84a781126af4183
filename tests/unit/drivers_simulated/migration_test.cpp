// The simulated migration against what QEMU did on this kind of machine (docs/MIGRATION.md), and its state machine.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/drivers_simulated/cluster.h"

namespace ballast::testing {
namespace {

using std::chrono::seconds;

constexpr BytesPerSecond mebibytes_per_second(std::int64_t n) {
    return BytesPerSecond(mebibytes(n).count());
}

/// D.2's guest: 512 MiB with 256 MiB non-zero.
sim::GuestLoad d2_load(Bytes working_set, BytesPerSecond rate) {
    return {.touched = mebibytes(256), .working_set = working_set, .dirty_rate = rate};
}

struct Measured {
    double seconds;
    double mebibytes;
};

class PreCopy : public ::testing::Test {
  protected:
    MigrationProgress migrate(sim::GuestLoad load, std::optional<BytesPerSecond> cap, MigrationMode mode) {
        const VmId vm = cluster.run_vm("h1", 1, mebibytes(512), load);
        MigrationRequest request = a_move(vm, "h2", mode);
        request.bandwidth = cap;
        EXPECT_TRUE(cluster.later(cluster.at("h1").migration().migrate(request)));
        return *cluster.now(cluster.at("h2").migration().completed(vm));
    }

    static void expect_near(const MigrationProgress& got, Measured measured) {
        const double took = std::chrono::duration<double>(got.elapsed).count();
        const double sent = got.sent / mebibytes(1);
        EXPECT_NEAR(took, measured.seconds, std::max(0.1, measured.seconds * 0.2));
        EXPECT_NEAR(sent, measured.mebibytes, measured.mebibytes * 0.2);
    }

    SimCluster cluster;
};

TEST_F(PreCopy, TakesAsLongAsQemuWithASmallWorkingSet) {
    const auto got =
        migrate(d2_load(mebibytes(1), mebibytes_per_second(10)), mebibytes_per_second(100), MigrationMode::pre_copy);
    expect_near(got, {2.53, 259});
    EXPECT_LT(*got.downtime, Milliseconds(20));
}

TEST_F(PreCopy, TakesAsLongAsQemuWithAHotWorkingSetJustBelowTheLink) {
    expect_near(
        migrate(d2_load(mebibytes(64), mebibytes_per_second(130)), mebibytes_per_second(160), MigrationMode::pre_copy),
        {1.83, 335});
}

TEST_F(PreCopy, TakesAsLongAsQemuWhenTheWorkingSetFitsTheDowntime) {
    const auto got =
        migrate(d2_load(mebibytes(64), mebibytes_per_second(130)), mebibytes_per_second(220), MigrationMode::pre_copy);
    expect_near(got, {1.25, 322});
    EXPECT_LT(*got.downtime, Milliseconds(80));
}

TEST_F(PreCopy, SendsMemoryAndOneWorkingSetOnAFastLink) {
    expect_near(
        migrate(d2_load(mebibytes(64), mebibytes_per_second(130)), mebibytes_per_second(400), MigrationMode::pre_copy),
        {0.66, 322});
}

TEST_F(PreCopy, IsAsQuickAsQemuWithoutALimit) {
    expect_near(migrate(d2_load(mebibytes(64), mebibytes_per_second(130)), std::nullopt, MigrationMode::pre_copy),
                {0.17, 275});
}

TEST_F(PreCopy, StopAndCopyHasADowntimeOfItsWholeLength) {
    const auto got = migrate(d2_load(mebibytes(64), mebibytes_per_second(130)), mebibytes_per_second(100),
                             MigrationMode::stop_and_copy);
    expect_near(got, {2.55, 258});
    EXPECT_GE(*got.downtime + Milliseconds(10), got.elapsed);
}

class Convergence : public ::testing::TestWithParam<std::pair<int, bool>> {};

TEST_P(Convergence, IsAsQemuShowedWithAWorkingSetOf64MiBAt130MiBPerSecond) {
    const auto [bandwidth, converges] = GetParam();
    SimCluster cluster;
    const VmId vm = cluster.run_vm("h1", 1, mebibytes(512), d2_load(mebibytes(64), mebibytes_per_second(130)));
    MigrationRequest request = a_move(vm, "h2");
    request.bandwidth = mebibytes_per_second(bandwidth);
    const auto result = cluster.begin_migration("h1", request);
    cluster.world->advance(seconds(14));
    cluster.settle();
    EXPECT_EQ(result->has_value(), converges);
    if (converges) return;
    const auto progress = *cluster.now(cluster.at("h1").migration().progress(vm));
    EXPECT_NEAR(progress.sent / mebibytes(1), 14.0 * bandwidth, 14.0 * bandwidth * 0.05);
    if (bandwidth == 100) EXPECT_NEAR(progress.iteration, 30, 8);
}

INSTANTIATE_TEST_SUITE_P(ReferenceD2, Convergence,
                         ::testing::Values(std::pair(80, false), std::pair(100, false), std::pair(110, false),
                                           std::pair(160, true), std::pair(220, true), std::pair(400, true)));

TEST(AutoConverge, EndsWhatWouldNeverEnd) {
    SimCluster cluster;
    const VmId vm = cluster.run_vm("h1", 1, mebibytes(512), d2_load(mebibytes(64), mebibytes_per_second(130)));
    MigrationRequest request = a_move(vm, "h2");
    request.bandwidth = mebibytes_per_second(80);
    request.knobs.auto_converge = true;
    EXPECT_TRUE(cluster.later(cluster.at("h1").migration().migrate(request)));
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h2"));
}

class Knobs : public ::testing::Test {
  protected:
    MigrationProgress moved(MigrationRequest request, MigrationProgress* half_way = nullptr) {
        const auto result = cluster.begin_migration("h1", request);
        cluster.world->advance(seconds(2));
        if (half_way != nullptr) *half_way = *cluster.now(cluster.at("h1").migration().progress(vm));
        cluster.world->run_until_idle();
        cluster.settle();
        EXPECT_TRUE(result->has_value() && result->value());
        return *cluster.now(cluster.at("h2").migration().completed(vm));
    }
    MigrationRequest slow() {
        MigrationRequest request = a_move(vm, "h2");
        request.bandwidth = mebibytes_per_second(110);
        request.knobs.auto_converge = true;
        return request;
    }

    SimCluster cluster;
    VmId vm = cluster.run_vm("h1", 1, mebibytes(512), d2_load(mebibytes(64), mebibytes_per_second(130)));
};

TEST_F(Knobs, AutoConvergeBeginsAndGoesOnInTheStepsThatWereAsked) {
    auto request = slow();
    EXPECT_EQ(moved(request).throttle, 80) << "QEMU's own way: 20, then tens, until the set no longer fills up";
    cluster.world->set_load(vm, d2_load(mebibytes(64), mebibytes_per_second(1'000)));
    request.peer_uri = "sim://h1";
    request.knobs.throttle_initial = 35;
    request.knobs.throttle_increment = 25;
    const auto result = cluster.begin_migration("h2", request);
    std::set<int> seen;
    while (!result->has_value() && cluster.world->step()) {
        cluster.settle();
        if (const auto progress = cluster.now(cluster.at("h2").migration().progress(vm)))
            seen.insert(progress->throttle);
    }
    EXPECT_THAT(seen, ::testing::ElementsAre(0, 35, 60, 85, 99));
}

TEST_F(Knobs, XbzrleSendsLessOfWhatIsSentAgain) {
    cluster.world->set_load(vm, d2_load(mebibytes(64), mebibytes_per_second(100)));
    auto request = slow();
    request.knobs.auto_converge = false;
    const auto plain = moved(request);
    request.peer_uri = "sim://h1";
    request.knobs.xbzrle = true;
    const auto result = cluster.begin_migration("h2", request);
    cluster.world->run_until_idle();
    cluster.settle();
    ASSERT_TRUE(result->has_value() && result->value());
    const auto packed = *cluster.now(cluster.at("h1").migration().completed(vm));
    EXPECT_LT(packed.sent, plain.sent);
    EXPECT_LT(packed.elapsed, plain.elapsed);
}

TEST_F(Knobs, CountPagesOfZerosApartFromThoseSentInFull) {
    const auto last = moved(slow());
    EXPECT_EQ(last.constant_pages, mebibytes(256) / last.page_size);
    EXPECT_GE(last.normal_pages, mebibytes(256) / last.page_size);
    EXPECT_TRUE(last.setup);
}

TEST(Parallel, ConnectionsTakeWhatOneCannot) {
    const auto took = [](int connections) {
        const auto world = sim::World::make();
        for (const std::string name : {"h1", "h2"}) {
            sim::HostModel host;
            host.name = name;
            host.stream = mebibytes_per_second(100);
            EXPECT_TRUE(world->add_host(host));
        }
        boost::asio::io_context io;
        const auto driver = sim::make_simulated_driver(world);
        const auto h1 = *driver->open({.id = HostId("1"), .uri = "sim://h1"}, nullptr);
        drivers::DomainDefinition definition;
        definition.id = VmId("00000000-0000-4000-8000-000000000001");
        definition.name = "vm";
        definition.spec.memory = gibibytes(1);
        EXPECT_TRUE(run(io, h1->compute().define(definition)));
        EXPECT_TRUE(run(io, h1->compute().start(definition.id)));
        MigrationRequest request = a_move(definition.id, "h2");
        request.knobs.parallel = connections;
        const auto begun = world->now();
        EXPECT_TRUE(run(io, h1->migration().migrate(request), patience, [&] { world->step(); }));
        h1->close();
        return std::chrono::duration<double>(world->now() - begun).count();
    };
    const double one = took(0);
    EXPECT_NEAR(took(1), one, 0.01);
    EXPECT_NEAR(one, 5.3, 0.5);
    EXPECT_NEAR(took(4), one / 4, 0.4);
}

class Hybrid : public ::testing::Test {
  protected:
    Hybrid() {
        MigrationRequest request = a_move(vm, "h2", MigrationMode::hybrid);
        request.bandwidth = mebibytes_per_second(80);
        request.post_copy_bandwidth = mebibytes_per_second(80);
        result = cluster.begin_migration("h1", request);
    }

    void switch_after(Milliseconds time) {
        cluster.world->advance(time);
        ASSERT_TRUE(cluster.now(cluster.at("h1").migration().start_post_copy(vm)));
    }
    DomainState state_on(const std::string& host) { return cluster.world->find_domain(host, vm)->state; }

    SimCluster cluster;
    VmId vm = cluster.run_vm("h1", 1, mebibytes(512), d2_load(mebibytes(64), mebibytes_per_second(130)));
    std::shared_ptr<std::optional<Result<>>> result;
};

TEST_F(Hybrid, RefusesToSwitchBeforeTheFirstBytes) {
    const auto switched = cluster.now(cluster.at("h1").migration().start_post_copy(vm));
    ASSERT_FALSE(switched);
    EXPECT_EQ(switched.error().code(), Code::failed_precondition);
}

TEST_F(Hybrid, RunsOnTheTargetFromTheSwitchOnWhileTheSourceKeepsThePages) {
    EXPECT_EQ(state_on("h2"), DomainState::incoming);
    switch_after(seconds(4));
    EXPECT_EQ(state_on("h1"), DomainState::postcopy_source);
    EXPECT_EQ(state_on("h2"), DomainState::postcopy_target);
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h2"));
    cluster.world->run_until_idle();
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_TRUE(**result);
    EXPECT_FALSE(cluster.world->find_domain("h1", vm));
    EXPECT_EQ(state_on("h2"), DomainState::running);
    const auto last = *cluster.now(cluster.at("h2").migration().completed(vm));
    EXPECT_LT(*last.downtime, Milliseconds(20));
    EXPECT_GT(last.post_copy_requests, 0);
}

TEST_F(Hybrid, BrokenByAHardCutKeepsBothCopiesAndIsResumedAfterwards) {
    switch_after(seconds(4));
    cluster.world->faults().cut("h1", "h2");
    cluster.world->run_until_idle();
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_FALSE(**result);
    EXPECT_EQ(state_on("h1"), DomainState::postcopy_failed);
    EXPECT_EQ(state_on("h2"), DomainState::postcopy_failed);
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::IsEmpty());

    MigrationRequest again = a_move(vm, "h2", MigrationMode::hybrid);
    again.resume_post_copy = true;
    const auto early = cluster.now(cluster.at("h1").migration().migrate(again));
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code(), Code::unavailable);
    cluster.world->faults().heal("h1", "h2");
    EXPECT_TRUE(cluster.later(cluster.at("h1").migration().migrate(again)));
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h2"));
    EXPECT_FALSE(cluster.world->find_domain("h1", vm));
}

TEST_F(Hybrid, StalledByASilentCutIsPausedOnRequest) {
    switch_after(seconds(4));
    cluster.world->faults().cut("h1", "h2", sim::Cut::silent);
    cluster.world->advance(seconds(60));
    EXPECT_EQ(state_on("h2"), DomainState::postcopy_target);
    ASSERT_TRUE(cluster.now(cluster.at("h1").migration().pause_post_copy(vm)));
    EXPECT_EQ(state_on("h2"), DomainState::postcopy_failed);
    const auto progress = *cluster.now(cluster.at("h1").migration().progress(vm));
    EXPECT_EQ(progress.status, MigrationStatus::post_copy_paused);
}

TEST_F(Hybrid, CanNoLongerBeCancelledAfterTheSwitch) {
    switch_after(seconds(4));
    const auto aborted = cluster.now(cluster.at("h1").migration().abort(vm));
    ASSERT_FALSE(aborted);
    EXPECT_EQ(aborted.error().code(), Code::failed_precondition);
}

TEST_F(Hybrid, LosesTheGuestWhenTheSourcesQemuDiesInThePullPhase) {
    switch_after(seconds(4));
    cluster.world->faults().kill_qemu("h1", vm);
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_FALSE(**result);
    EXPECT_EQ(state_on("h1"), DomainState::shut_off);
    EXPECT_EQ(state_on("h2"), DomainState::postcopy_failed);
}

TEST_F(Hybrid, GoesOnAtTheSourceWhenTheTargetsQemuDiesInThePushPhase) {
    cluster.world->advance(seconds(1));
    cluster.world->faults().kill_qemu("h2", vm);
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_FALSE(**result);
    EXPECT_FALSE(cluster.world->find_domain("h2", vm));
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h1"));
}

TEST_F(Hybrid, GoesOnAtTheSourceWhenTheLinkStaysCutInThePushPhase) {
    cluster.world->advance(seconds(1));
    cluster.world->faults().cut("h1", "h2", sim::Cut::silent);
    cluster.world->run_until_idle();
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_EQ((**result).error().code(), Code::unavailable);
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h1"));
}

TEST_F(Hybrid, OutlivesACutThatHealsInTime) {
    cluster.world->advance(seconds(1));
    cluster.world->faults().cut("h1", "h2", sim::Cut::silent);
    cluster.world->advance(seconds(3));
    const auto stalled = *cluster.now(cluster.at("h1").migration().progress(vm));
    cluster.world->faults().heal("h1", "h2");
    cluster.world->advance(seconds(1));
    const auto going = *cluster.now(cluster.at("h1").migration().progress(vm));
    EXPECT_EQ(stalled.throughput, BytesPerSecond(0));
    EXPECT_NEAR((going.sent - stalled.sent) / mebibytes(1), 80, 2);
}

TEST(PeerToPeer, GoesOnWhenTheClientIsGone) {
    SimCluster cluster;
    const VmId vm = cluster.run_vm("h1", 1, mebibytes(512), {});
    const auto result = cluster.begin_migration("h1", a_move(vm, "h2"));
    cluster.world->faults().make_unreachable("h1");
    cluster.settle();
    ASSERT_TRUE(*result);
    EXPECT_EQ((**result).error().code(), Code::unavailable);
    cluster.world->run_until_idle();
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h2"));
    EXPECT_FALSE(cluster.world->find_domain("h1", vm));
}

TEST(SharedLink, IsDividedAmongTheMigrationsOnIt) {
    SimCluster cluster(3, {.migration_setup = Milliseconds(0)}, mebibytes_per_second(100));
    const sim::GuestLoad load{.touched = mebibytes(250)};
    const VmId one = cluster.run_vm("h1", 1, mebibytes(512), load);
    const VmId two = cluster.run_vm("h1", 2, mebibytes(512), load);
    const auto first = cluster.begin_migration("h1", a_move(one, "h2"));
    const auto second = cluster.begin_migration("h1", a_move(two, "h3"));
    cluster.world->advance(Milliseconds(4900));
    cluster.settle();
    EXPECT_FALSE(*first);
    cluster.world->advance(Milliseconds(300));
    cluster.settle();
    EXPECT_TRUE(*first);
    EXPECT_TRUE(*second);
}

TEST(Storage, ThatOnlyLooksSharedDamagesTheGuestOfAnUnsafeMove) {
    SimCluster cluster;
    const VmId vm = cluster.run_vm("h1", 1, mebibytes(512), {});
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().destroy(vm)));
    drivers::NewVolume volume;
    volume.pool = "default";
    volume.name = "disk.qcow2";
    volume.format = "qcow2";
    volume.capacity = gibibytes(1);
    const auto made = cluster.now(cluster.at("h1").storage().create_volume(volume));
    ASSERT_TRUE(made);
    ASSERT_TRUE(cluster.now(cluster.at("h2").storage().create_volume(volume)));
    drivers::DomainDefinition definition;
    definition.id = vm;
    definition.name = "vm1";
    definition.spec.disks.resize(1);
    definition.spec.disks[0].path = made->path;
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().define(definition)));
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().start(vm)));

    MigrationRequest request = a_move(vm, "h2");
    const auto refused = cluster.now(cluster.at("h1").migration().migrate(request));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::failed_precondition);
    request.allow_unsafe = true;
    ASSERT_TRUE(cluster.later(cluster.at("h1").migration().migrate(request)));
    EXPECT_THAT(cluster.world->damage(), ::testing::ElementsAre(::testing::HasSubstr("another disk")));
}

TEST(Storage, ThatIsNotSharedIsCopiedAlongBeforeTheMemory) {
    SimCluster cluster(2, {.migration_setup = Milliseconds(0)}, mebibytes_per_second(100));
    drivers::NewVolume volume;
    volume.pool = "default";
    volume.name = "disk.raw";
    volume.format = "raw";
    volume.capacity = mebibytes(500);
    const auto made = cluster.now(cluster.at("h1").storage().create_volume(volume));
    ASSERT_TRUE(made);
    drivers::DomainDefinition definition;
    definition.id = VmId("00000000-0000-4000-8000-000000000009");
    definition.name = "vm9";
    definition.spec.memory = mebibytes(512);
    definition.spec.disks.resize(1);
    definition.spec.disks[0].path = made->path;
    definition.spec.disks[0].format = "raw";
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().define(definition)));
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().start(definition.id)));

    MigrationRequest request = a_move(definition.id, "h2", MigrationMode::hybrid);
    request.knobs.copy_disks = DiskCopy::incremental;
    const auto refused = cluster.now(cluster.at("h1").migration().migrate(request));
    ASSERT_FALSE(refused) << "an incremental copy needs the parent on the target";
    request.knobs.copy_disks = DiskCopy::full;
    const auto result = cluster.begin_migration("h1", request);
    cluster.world->advance(seconds(2));
    const auto half = *cluster.now(cluster.at("h1").migration().progress(definition.id));
    EXPECT_EQ(half.disk_total, mebibytes(500));
    EXPECT_NEAR(half.disk_remaining / mebibytes(1), 300, 5);
    EXPECT_EQ(half.iteration, 0);
    EXPECT_FALSE(cluster.now(cluster.at("h1").migration().start_post_copy(definition.id)))
        << "the memory has not begun to flow";
    cluster.world->run_until_idle();
    cluster.settle();
    ASSERT_TRUE(result->has_value() && result->value());
    EXPECT_THAT(cluster.world->damage(), ::testing::IsEmpty());
    EXPECT_TRUE(cluster.now(cluster.at("h2").storage().read_volume("default", "disk.raw")));
}

}  // namespace
}  // namespace ballast::testing
