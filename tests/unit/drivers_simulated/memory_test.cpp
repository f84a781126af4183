// The memory of simulated hosts: guests and balloons, page merging, too little memory, saving.
#include "tests/unit/drivers_simulated/memory_cluster.h"

namespace ballast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

/// Two guests of 4 GiB that want 1 GiB and cache another.
constexpr const char* two_guests = R"({"hosts":[{"name":"h1","memory":"16G","own":"1G","cache":"2G"}],
    "vms":[{"name":"web","count":2,"memory":"4G","guest":{"memory":{"wants":"1G","cache":"1G"}}}]})";

TEST_F(MemoryOfHosts, AGuestSaysWhatItHasAndItsHostHoldsThatAndAnOverhead) {
    build(two_guests);
    const auto shown = stats();
    EXPECT_EQ(shown.balloon, gibibytes(4));
    EXPECT_EQ(shown.unused, gibibytes(2));
    EXPECT_EQ(shown.disk_caches, gibibytes(1));
    EXPECT_EQ(shown.usable, gibibytes(3));
    EXPECT_EQ(shown.resident, gibibytes(2) + mebibytes(100));
    EXPECT_EQ(shown.major_faults, 0U);
    const auto all = read();
    EXPECT_EQ(all.cached, gibibytes(2));
    EXPECT_EQ(all.free + all.cached + gibibytes(1) + shown.resident * 2, all.total);
}

TEST_F(MemoryOfHosts, ABalloonMovesAtItsRateAndTellsWhereItRests) {
    build(two_guests);
    ASSERT_TRUE(set_balloon(gibibytes(2)));
    EXPECT_EQ(stats().balloon, gibibytes(4));
    wait(5s);
    EXPECT_EQ(stats().balloon, gibibytes(4) - mebibytes(1'000));
    EXPECT_EQ(run(io, host->compute().read_domain(id()))->balloon, stats().balloon);
    EXPECT_FALSE(has_heard("web1 balloon 2 GiB"));
    wait(10s);
    EXPECT_TRUE(has_heard("web1 balloon 2 GiB"));
    EXPECT_EQ(stats().balloon, gibibytes(2));
    EXPECT_EQ(stats(1).balloon, gibibytes(4));
}

TEST_F(MemoryOfHosts, LookingAtItChangesNothing) {
    const std::string text = R"({"hosts":[{"name":"h1","memory":"6G","ksm":{"pages_to_scan":2000}}],"vms":[
        {"name":"day","count":2,"memory":"3G","load":{"cpu":0.5},"guest":{"sharing":"deb","shared":"300M",
         "memory":{"pattern":"sawtooth","wants":"1G","swing":"900M","period_s":1800,"phase_step_s":300,"swap":"2G","unshares":1000}}},
        {"name":"crowd","memory":"3G","guest":{"sharing":"deb","shared":"500M",
         "memory":{"pattern":"step","wants":"200M","step_to":"2500M","step_after_s":1000,"step_for_s":600,"step_every_s":1500}}}]})";
    const auto figures = [&](Milliseconds look) {
        build(text);
        const auto to = [&](Milliseconds end) {
            const auto limit = Timestamp(world().now().time_since_epoch()) + end;
            while (look.count() > 0 && world().now() + look < limit) {
                wait(look);
                static_cast<void>(read());
            }
            wait(std::chrono::duration_cast<Milliseconds>(limit - world().now()));
        };
        to(700'300ms);
        EXPECT_TRUE(set_balloon(mebibytes(900)));
        to(2'000'500ms);
        const auto all = read();
        std::string shown = fmt::format("free {} sharing {} {} scans {}", all.free.count(), all.ksm->pages_shared,
                                        all.ksm->pages_sharing, all.ksm->full_scans);
        for (const auto& one : all.domains)
            shown += fmt::format(" [{} {} {} {} {} {}]", one.balloon.count(), one.unused->count(),
                                 one.disk_caches->count(), *one.swap_in, *one.major_faults, one.resident.count());
        return shown + fmt::format(" {:.9f}", world().pressure_of("h1")->some);
    };
    const std::string unseen = figures(0ms);
    EXPECT_EQ(figures(770ms), unseen);
    EXPECT_EQ(figures(13s), unseen);
}

TEST_F(MemoryOfHosts, AQuietHostPlansNothing) {
    build(two_guests);
    wait(1min);
    EXPECT_EQ(world().next_event(), std::nullopt);
}

TEST_F(MemoryOfHosts, AGuestThatBootsSaysNothingUntilItsDriverIsThereAndFollowsThen) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"2G","running":false,"balloon":{"stats_period_s":5},
              "guest":{"boot_ms":20000,"memory":{"wants":"600M","cache":"0"}}}]})");
    ASSERT_TRUE(run(io, host->compute().start(id())));
    ASSERT_TRUE(set_balloon(gibibytes(1)));
    wait(19s);
    EXPECT_EQ(stats().unused, std::nullopt);
    EXPECT_EQ(stats().guest_said, Timestamp());
    EXPECT_EQ(stats().balloon, gibibytes(2));
    wait(18s);
    EXPECT_EQ(stats().balloon, gibibytes(1));
    EXPECT_EQ(stats().unused, mebibytes(424));
    EXPECT_EQ(stats().guest_said, world().now() - 2s) << "every 5 s";
}

TEST_F(MemoryOfHosts, AGuestWithoutABalloonIsNotAskedAndSaysNothing) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"2G","balloon":{"enabled":false},
              "guest":{"memory":{}}}]})");
    EXPECT_EQ(set_balloon(gibibytes(1)).error().code(), Code::failed_precondition);
    EXPECT_EQ(stats().unused, std::nullopt);
    EXPECT_EQ(stats().balloon, gibibytes(2));
}

TEST_F(MemoryOfHosts, AGuestThatLacksMemoryWorksSlower) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"2G","load":{"cpu":1},
              "guest":{"memory":{"wants":"1500M"}}}]})");
    ASSERT_TRUE(set_balloon(gibibytes(1)));
    wait(1min);
    const auto before = run(io, host->statistics().sweep())->domains[0].cpu_time;
    wait(100s);
    const auto used = run(io, host->statistics().sweep())->domains[0].cpu_time - before;
    EXPECT_NEAR(std::chrono::duration<double>(used).count(), 100 * guest().speed, 0.5);
    EXPECT_LT(guest().speed, 0.4);
    EXPECT_GT(stats().major_faults, 1'000'000U);
}

constexpr const char* a_group = R"({"hosts":[{"name":"h1","memory":"32G","ksm":{"pages_to_scan":10000}}],"vms":[
    {"name":"deb","count":4,"memory":"4G","running":false,
     "guest":{"sharing":"debian","shared":"500M","memory":{"wants":"1G","cache":"0","overhead":"0"}}}]})";

TEST_F(MemoryOfHosts, EqualPagesAreMergedInTheScannersSecondPass) {
    build(a_group);
    for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(run(io, host->compute().start(id(i))));
    wait(6s);  // 1 GiB each at 300 MiB/s; 142,857 pages/s, a pass of 1,048,576 pages takes 7.3 s
    EXPECT_EQ(read().ksm->pages_sharing, 0);
    EXPECT_EQ(read().free, gibibytes(28));
    wait(30s);
    const auto merged = read();
    EXPECT_EQ(merged.ksm->pages_shared, 500 * 256);
    EXPECT_EQ(merged.ksm->pages_sharing, 3 * 500 * 256);
    EXPECT_EQ(merged.free, gibibytes(28) + mebibytes(1'500));
    EXPECT_EQ(merged.ksm->pages_unshared, 4 * (1'024 - 500) * 256);
    EXPECT_EQ(merged.ksm->pages_volatile, 0);
    const auto scans = merged.ksm->full_scans;
    wait(73'400ms);
    EXPECT_NEAR(static_cast<double>(read().ksm->full_scans - scans), 10, 1);
}

TEST_F(MemoryOfHosts, NothingIsMergedAtAScanRateOfNought) {
    build(a_group);
    ASSERT_TRUE(run(io, host->memory().set_ksm({.pages_to_scan = 0, .sleep_ms = 20})));
    for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(run(io, host->compute().start(id(i))));
    wait(1h);
    EXPECT_EQ(read().ksm->pages_sharing, 0);
    EXPECT_EQ(read().ksm->full_scans, 0);
    ASSERT_TRUE(run(io, host->memory().set_ksm({.pages_to_scan = 10'000, .sleep_ms = 20})));
    wait(30s);
    EXPECT_EQ(read().ksm->pages_sharing, 3 * 500 * 256);
}

TEST_F(MemoryOfHosts, WhoLeavesTakesItsShareOfTheMergedPagesAlong) {
    build(a_group);
    for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(run(io, host->compute().start(id(i))));
    wait(1min);
    for (std::size_t i = 1; i < 3; ++i) ASSERT_TRUE(run(io, host->compute().destroy(id(i))));
    EXPECT_EQ(read().ksm->pages_sharing, 500 * 256);
    ASSERT_TRUE(run(io, host->compute().destroy(id(3))));
    EXPECT_EQ(read().ksm->pages_sharing, 0);
    EXPECT_EQ(read().ksm->pages_shared, 0);
    EXPECT_EQ(read().free, gibibytes(31));
}

TEST_F(MemoryOfHosts, AVmThatMayNotShareIsNotMerged) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[
        {"name":"deb","count":2,"memory":"4G","guest":{"touched":"2G","sharing":"debian","shared":"1G"}},
        {"name":"own","memory":"4G","overcommit":{"merge":false},
         "guest":{"touched":"2G","sharing":"debian","shared":"1G"}}]})");
    EXPECT_EQ(read().ksm->pages_sharing, 1'024 * 256);
    EXPECT_EQ(read().free, gibibytes(64 - 6 + 1));
}

TEST_F(MemoryOfHosts, WhatRunsAtTheBeginningIsMergedUnlessNothingScans) {
    const std::string vms = R"("vms":[{"name":"deb","count":3,"memory":"4G",
                               "guest":{"touched":"2G","sharing":"debian","shared":"1G"}}]})";
    build(R"({"hosts":[{"name":"h1"}],)" + vms);
    EXPECT_EQ(read().ksm->pages_sharing, 2 * 1'024 * 256);
    build(R"({"hosts":[{"name":"h1","ksm":{"run":false}}],)" + vms);
    EXPECT_EQ(read().ksm->pages_sharing, 0);
}

/// 8 GiB, 2 GiB of swap, and three guests of 4 GiB that come to want all of it.
constexpr const char* a_crowd = R"({"hosts":[{"name":"h1","memory":"8G","swap":"2G"}],"vms":[
    {"name":"web","count":2,"memory":"4G","load":{"cpu":1},
     "guest":{"memory":{"pattern":"step","wants":"1G","step_to":"2800M","step_after_s":100,"cache":"0"}}},
    {"name":"big","memory":"6G",
     "guest":{"memory":{"pattern":"step","wants":"1G","step_to":"5G","step_after_s":300,"cache":"0"}}}]})";

TEST_F(MemoryOfHosts, AHostThatLacksMemorySwapsAndIsUnderPressure) {
    build(a_crowd);
    wait(200s);
    EXPECT_EQ(world().pressure_of("h1")->some, 0);
    EXPECT_GT(read().free, Bytes(0));
    wait(110s);
    const auto pressed = *world().pressure_of("h1");
    EXPECT_GT(pressed.swapped, gibibytes(1));
    EXPECT_GT(pressed.swap_in.count(), mebibytes(50).count());
    EXPECT_GT(pressed.some, 0.1);
    EXPECT_LT(pressed.some, 1);
    EXPECT_EQ(read().free, Bytes(0));
    Bytes resident;
    for (const auto& one : read().domains) resident += one.resident;
    EXPECT_NEAR(in_mib(resident), 8'192, 1) << "what is swapped out is not resident";
}

TEST_F(MemoryOfHosts, GuestsOfAHostThatSwapsWorkLess) {
    build(R"({"hosts":[{"name":"h1","memory":"4G"}],"vms":[{"name":"web","count":2,"memory":"4G","load":{"cpu":1},
              "guest":{"memory":{"pattern":"step","wants":"1G","step_to":"3G","step_after_s":100,"cache":"0"}}}]})");
    const auto worked = [this] {
        const auto before = run(io, host->statistics().sweep())->domains[0].cpu_time;
        wait(50s);
        const auto used = run(io, host->statistics().sweep())->domains[0].cpu_time - before;
        return std::chrono::duration<double>(used).count();
    };
    EXPECT_NEAR(worked(), 50, 0.01);
    wait(100s);
    EXPECT_NEAR(worked(), 2.5, 0.01) << "5 %, all the rest is waiting";
    EXPECT_NEAR(world().pressure_of("h1")->some, 1, 0.01);
}

TEST_F(MemoryOfHosts, TheKernelEndsTheLargestQemuOnceTheHostsSwapIsFullAndThatIsHeard) {
    build(a_crowd);
    wait(100s + 200s + 30s);
    EXPECT_TRUE(has_heard("big stopped: crashed")) << "nobody looked";
    EXPECT_EQ(run(io, host->compute().read_domain(id(2)))->state, DomainState::shut_off);
    EXPECT_EQ(run(io, host->compute().read_domain(id(0)))->state, DomainState::running);
    wait(1min);
    EXPECT_EQ(world().pressure_of("h1")->oom_kills, 1);
    EXPECT_EQ(world().pressure_of("h1")->swapped, Bytes(0));
    EXPECT_LT(world().pressure_of("h1")->some, 0.01);
}

TEST_F(MemoryOfHosts, AHostOfGuestsWithoutAModelNeverRunsOut) {
    build(R"({"hosts":[{"name":"h1","memory":"4G","swap":"0"}],"vms":[{"name":"web","count":4,"memory":"4G"}]})");
    wait(1h);
    EXPECT_EQ(read().free, Bytes(0));
    EXPECT_EQ(world().pressure_of("h1")->oom_kills, 0);
    EXPECT_THAT(heard, ::testing::Not(::testing::Contains(::testing::HasSubstr("crashed"))));
}

TEST_F(MemoryOfHosts, TheHostsPageCacheGivesWayFirst) {
    build(R"({"hosts":[{"name":"h1","memory":"10G","cache":"6G"}],"vms":[{"name":"web","memory":"8G",
              "guest":{"memory":{"pattern":"step","wants":"1G","step_to":"6G","step_after_s":60,"cache":"0"}}}]})");
    EXPECT_EQ(read().cached, gibibytes(6));
    wait(2min);
    EXPECT_NEAR(in_mib(read().cached), 0.99 * 10'240 - 6'144 - 100, 1);
    EXPECT_NEAR(in_mib(read().free), 102.4, 1);
    EXPECT_EQ(world().pressure_of("h1")->swapped, Bytes(0));
}

TEST_F(MemoryOfHosts, AMoveTakesTheBalloonAndTheGuestsMemoryAlong) {
    build(R"({"hosts":[{"name":"h","count":2}],"vms":[{"name":"web","memory":"4G","hosts":["h1"],
              "guest":{"touched":"1G","sharing":"deb","shared":"500M","memory":{"wants":"1500M"}}}]})");
    ASSERT_TRUE(set_balloon(gibibytes(1)));
    wait(1min);
    const auto before = guest();
    drivers::MigrationRequest request;
    request.vm = id();
    request.peer_uri = "sim://h2";
    ASSERT_TRUE(later(host->migration().migrate(request)));
    const auto after = guest(0, "h2");
    EXPECT_EQ(after.balloon, before.balloon);
    EXPECT_EQ(after.swapped, before.swapped);
    EXPECT_EQ(after.target, before.target);
    EXPECT_EQ(read().free, gibibytes(64)) << "the source has its memory back";
}

TEST_F(MemoryOfHosts, SavingTakesTheTimeOfItsSizeAndTheNextStartGoesOnWithItsBalloon) {
    build(R"({"hosts":[{"name":"h1","save_rate":104857600}],"vms":[{"name":"web","memory":"4G",
              "guest":{"boot_ms":60000,"memory":{"wants":"900M","cache":"0"}}}]})");
    ASSERT_TRUE(set_balloon(gibibytes(2)));
    wait(1min);
    const Timestamp begun = world().now();
    ASSERT_TRUE(later(host->compute().save(id())));
    EXPECT_EQ(world().now() - begun, 10s) << "1,000 MiB at 100 MiB/s";
    EXPECT_TRUE(has_heard("web stopped: saved"));
    EXPECT_EQ(read().free, gibibytes(64));
    EXPECT_THAT(run(io, host->compute().read_domain(id()))->bound_by, ::testing::ElementsAre("managed save"));
    EXPECT_EQ(run(io, host->compute().undefine(id())).error().code(), Code::failed_precondition);
    ASSERT_TRUE(run(io, host->compute().start(id())));
    EXPECT_TRUE(has_heard("web started: restored"));
    EXPECT_EQ(stats().balloon, gibibytes(2));
    EXPECT_EQ(stats().unused, gibibytes(2) - mebibytes(900)) << "it does not boot";
    EXPECT_THAT(run(io, host->compute().read_domain(id()))->bound_by, IsEmpty());
}

TEST_F(MemoryOfHosts, SavingNeedsRoomAndLetsNothingElseActMeanwhile) {
    build(R"({"hosts":[{"name":"h1","save_room":"1500M"}],"vms":[{"name":"web","count":2,"memory":"4G",
              "guest":{"memory":{"wants":"900M","cache":"0"}}}]})");
    std::optional<Result<>> saved;
    boost::asio::co_spawn(io, host->compute().save(id()),
                          [&](std::exception_ptr, Result<> result) { saved = std::move(result); });
    io.restart();
    io.poll();
    EXPECT_EQ(run(io, host->compute().read_domain(id()))->state_reason, "save");
    EXPECT_EQ(run(io, host->migration().resume(id())).error().code(), Code::failed_precondition);
    EXPECT_EQ(run(io, host->migration().suspend(id())).error().code(), Code::failed_precondition);
    EXPECT_EQ(run(io, host->compute().save(id())).error().code(), Code::failed_precondition);
    wait(3s);
    io.restart();
    io.poll();
    ASSERT_TRUE(saved && *saved);
    const auto second = run(io, host->compute().save(id(1)));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::resource_exhausted);
    EXPECT_THAT(second.error().message(), ::testing::HasSubstr("has room for 500 MiB"));
    EXPECT_EQ(run(io, host->compute().read_domain(id(1)))->state, DomainState::running);
}

TEST_F(MemoryOfHosts, ASaveOfWhatEndsMeanwhileFails) {
    build(two_guests);
    std::optional<Result<>> saved;
    boost::asio::co_spawn(io, host->compute().save(id()),
                          [&](std::exception_ptr, Result<> result) { saved = std::move(result); });
    io.restart();
    io.poll();
    ASSERT_TRUE(run(io, host->compute().destroy(id())));
    wait(1min);
    io.restart();
    io.poll();
    ASSERT_TRUE(saved);
    EXPECT_EQ(saved->error().code(), Code::failed_precondition);
    EXPECT_THAT(run(io, host->compute().read_domain(id()))->bound_by, IsEmpty());
}

}  // namespace
}  // namespace ballast::testing
