// Loads, and what the statistics sweep shows of them: CPU time, memory, shared pages; failures on the clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/drivers_simulated/built_cluster.h"

namespace ballast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

sim::Instant at(std::chrono::seconds time) {
    return sim::Instant(time);
}

TEST(Load, OfADayIsBusiestAtItsHourAndIdlestTwelveHoursLater) {
    const sim::CpuLoad load{.pattern = sim::LoadPattern::diurnal, .cpu = 0.4, .swing = 0.3, .peak_hour = 15};
    EXPECT_NEAR(sim::share_at(load, at(15h)), 0.7, 1e-9);
    EXPECT_NEAR(sim::share_at(load, at(3h)), 0.1, 1e-9);
    EXPECT_NEAR(sim::share_at(load, at(24h + 9h)), 0.4, 1e-9);
}

TEST(Load, OfASawToothRisesAndFallsBackAndAPhaseShiftsIt) {
    sim::CpuLoad load{.pattern = sim::LoadPattern::sawtooth, .cpu = 0.5, .swing = 0.4, .period = 100s};
    EXPECT_NEAR(sim::share_at(load, at(0s)), 0.1, 1e-9);
    EXPECT_NEAR(sim::share_at(load, at(75s)), 0.7, 1e-9);
    EXPECT_NEAR(sim::share_at(load, at(100s)), 0.1, 1e-9);
    load.phase = 50s;
    EXPECT_NEAR(sim::share_at(load, at(0s)), 0.5, 1e-9);
}

TEST(Load, NoiseHasItsDeviationKeepsTheMeanAndIsTheSameForASeed) {
    const sim::CpuLoad load{.cpu = 0.5, .noise = 0.1, .noise_slot = 10s, .seed = 7};
    double sum = 0;
    double squares = 0;
    constexpr int samples = 20'000;
    for (int i = 0; i < samples; ++i) {
        const double off = sim::share_at(load, at(i * 10s)) - 0.5;
        sum += off;
        squares += off * off;
    }
    EXPECT_NEAR(sum / samples, 0, 0.005);
    EXPECT_NEAR(std::sqrt(squares / samples), 0.1, 0.01);
    EXPECT_EQ(sim::share_at(load, at(12s)), sim::share_at(load, at(18s))) << "one deviation lasts for its slot";
    sim::CpuLoad other = load;
    other.seed = 8;
    EXPECT_NE(sim::share_at(load, at(12s)), sim::share_at(other, at(12s)));
}

class Sweep : public BuiltCluster {
  protected:
    drivers::HostStats sweep() { return run(io, host->statistics().sweep()).value(); }
    /// Cores that the VM used and the share of the host's that was busy, from here on for so long.
    std::pair<double, double> used_in(std::chrono::seconds time) {
        const auto before = sweep();
        cluster.world->advance(time);
        const auto after = sweep();
        const auto cores = std::chrono::duration<double>(after.domains[0].cpu_time - before.domains[0].cpu_time);
        const auto busy = after.cpu_busy - before.cpu_busy;
        const auto all = busy + after.cpu_idle - before.cpu_idle;
        return {cores.count() / static_cast<double>(time.count()),
                static_cast<double>(busy.count()) / static_cast<double>(all.count())};
    }
};

TEST_F(Sweep, CpuFiguresFollowThePatternOfTheDay) {
    build(R"({"hosts":[{"name":"h1","cpus":8}],"vms":[{"name":"web","vcpus":4,
              "load":{"pattern":"diurnal","cpu":0.5,"swing":0.4,"peak_hour":12}}]})");
    const auto [night, idle] = used_in(1h);
    EXPECT_NEAR(night, 4 * 0.1, 0.1);
    EXPECT_NEAR(idle, night / 8, 1e-3);
    cluster.world->advance(10h + 30min);
    const auto [noon, busy] = used_in(1h);
    EXPECT_NEAR(noon, 4 * 0.9, 0.1);
    EXPECT_NEAR(busy, noon / 8, 1e-3);
}

TEST_F(Sweep, VmsThatWantMoreThanTheHostHasShareItAndItIsFullyBusy) {
    build(R"({"hosts":[{"name":"h1","cpus":4}],"vms":[{"name":"web","count":4,"vcpus":2,"load":{"cpu":1}}]})");
    const auto [cores, busy] = used_in(10min);
    EXPECT_NEAR(cores, 1, 1e-3);
    EXPECT_NEAR(busy, 1, 1e-6);
}

TEST_F(Sweep, AStoppedVmUsesNothingAndABootingOneAllOfItsVcpus) {
    build(R"({"hosts":[{"name":"h1","cpus":4}],"vms":[{"name":"web","vcpus":2,"running":false,"load":{"cpu":0.1},
              "guest":{"boot_ms":60000}}]})");
    EXPECT_NEAR(used_in(1min).first, 0, 1e-9);
    ASSERT_TRUE(run(io, host->compute().start(cluster.layout.vms[0].id)));
    EXPECT_NEAR(used_in(1min).first, 2, 1e-3);
    EXPECT_NEAR(used_in(1min).first, 0.2, 1e-3);
}

TEST_F(Sweep, MemoryInUseFollowsTheLoadAsFarAsTheGuestSays) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"4G",
              "load":{"pattern":"diurnal","cpu":0.5,"swing":0.5,"peak_hour":12},
              "guest":{"touched":"2G","memory_swing":0.5}}]})");
    const auto used = [&] {
        const auto stats = sweep().domains[0];
        return (stats.balloon - *stats.unused) / gibibytes(1);
    };
    EXPECT_NEAR(used(), 1, 0.01) << "at midnight the half that follows the load is free";
    cluster.world->advance(12h);
    EXPECT_NEAR(used(), 2, 0.01);
    EXPECT_EQ(sweep().domains[0].resident, gibibytes(2)) << "a page that was touched stays with QEMU";
}

TEST_F(Sweep, PagesOfOneSharingGroupAreHeldOnce) {
    build(R"({"hosts":[{"name":"h1","memory":"64G"}],"vms":[
              {"name":"deb","count":5,"memory":"4G","guest":{"touched":"2G","sharing":"debian","shared":"1G"}},
              {"name":"own","memory":"4G","guest":{"touched":"2G"}}]})");
    EXPECT_EQ(sweep().memory_free, gibibytes(64 - 6 * 2 + 4));
}

TEST_F(Sweep, AGuestWithTwoSetsHasACurveWithTwoBends) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"4G","guest":{"touched":"3G",
              "working_set":"100M","dirty_rate":104857600,"slow_set":"1G","slow_rate":20971520}}]})");
    const VmId vm = cluster.layout.vms[0].id;
    const auto dirtied_in = [&](Seconds window) {
        EXPECT_TRUE(run(io, host->migration().start_dirty_rate(vm, window)));
        cluster.world->advance(window);
        return Bytes(run(io, host->migration().dirty_rate(vm))->rate.count() * window.count());
    };
    EXPECT_NEAR(dirtied_in(1s) / mebibytes(1), 120, 1);
    EXPECT_NEAR(dirtied_in(10s) / mebibytes(1), 300, 10);
    EXPECT_NEAR(dirtied_in(60s) / mebibytes(1), 1'124, 60);
}

TEST_F(Sweep, TimeThatIsSpedUpLeavesTheFiguresReadable) {
    build(R"({"hosts":[{"name":"h1","cpus":4}],"vms":[{"name":"web","vcpus":2,"load":{"cpu":0.5}}]})");
    cluster.world->follow_real_time(io.get_executor(), 100.0);
    const auto before = sweep().domains[0].cpu_time;
    cluster.world->advance(100s);
    const auto used = std::chrono::duration<double>(sweep().domains[0].cpu_time - before).count();
    EXPECT_NEAR(used, 1, 0.1) << "100 s of this world are one of the counter's";
}

TEST_F(Sweep, AHostThatDiesOnScheduleIsBackAfterItsBootWithItsCountersAtZero) {
    build(R"({"hosts":[{"name":"h1","boot_ms":60000}],"vms":[{"name":"web"}],
              "failures":[{"what":"crash","host":"h1","after_s":100,"lasts_s":200}]})");
    cluster.world->advance(101s);
    EXPECT_EQ(host->link(), drivers::LinkState::unreachable);
    EXPECT_THAT(cluster.world->running_copies(cluster.layout.vms[0].id), IsEmpty());
    cluster.world->advance(240s);
    EXPECT_EQ(host->link(), drivers::LinkState::unreachable) << "it is booting";
    cluster.world->advance(30s);
    ASSERT_EQ(host->link(), drivers::LinkState::up);
    const auto stats = sweep();
    EXPECT_LT((stats.cpu_busy + stats.cpu_idle) / 16, 60s);
}

TEST_F(Sweep, FailuresAtRandomComeAboutAsOftenAsSaidAndAlikeForASeed) {
    const auto struck = [this] {
        build(R"({"hosts":[{"name":"h1"},{"name":"h2"}],"vms":[{"name":"web"}],
                  "failures":[{"what":"unreachable","mean_between_s":3600,"lasts_s":60}]})");
        const auto times = std::make_shared<std::vector<Timestamp>>();
        const auto sink = [times, world = cluster.world](const drivers::DriverEvent& event) {
            if (event.kind == drivers::DriverEvent::Kind::link && event.link == drivers::LinkState::unreachable)
                times->push_back(world->now());
        };
        const auto one = *driver->open({.id = HostId("1"), .uri = "sim://h1"}, sink);
        const auto two = *driver->open({.id = HostId("2"), .uri = "sim://h2"}, sink);
        cluster.world->advance(24h * 10);
        return *times;
    };
    const auto times = struck();
    EXPECT_NEAR(static_cast<double>(times.size()), 240, 50);
    EXPECT_EQ(times, struck());
}

}  // namespace
}  // namespace ballast::testing
