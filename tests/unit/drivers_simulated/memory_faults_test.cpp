// What goes wrong with the memory of simulated hosts, on command and by cluster.json.
#include "tests/unit/drivers_simulated/memory_cluster.h"

namespace ballast::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* one_guest = R"({"hosts":[{"name":"h1","memory":"16G"}],"vms":[
    {"name":"web","memory":"4G","guest":{"memory":{"wants":"1G","cache":"1G"}}}]})";

class MemoryFaults : public MemoryOfHosts {};

TEST_F(MemoryFaults, ABalloonThatSticksTakesItsTargetAndDoesNotMove) {
    build(one_guest);
    world().faults().set_guest(id(), {.sticks = true});
    ASSERT_TRUE(set_balloon(gibibytes(2)));
    wait(1min);
    EXPECT_EQ(stats().balloon, gibibytes(4));
    EXPECT_TRUE(stats().unused);
    world().faults().set_guest(id(), {});
    wait(1min);
    EXPECT_EQ(stats().balloon, gibibytes(2)) << "it follows as soon as it can";
}

TEST_F(MemoryFaults, AGuestWithoutADriverSaysNothingAndGivesNothing) {
    build(one_guest);
    world().faults().set_guest(id(), {.no_driver = true});
    ASSERT_TRUE(set_balloon(gibibytes(2)));
    wait(1min);
    EXPECT_EQ(stats().balloon, gibibytes(4));
    EXPECT_EQ(stats().unused, std::nullopt);
    EXPECT_EQ(stats().guest_said, Timestamp());
    EXPECT_GT(stats().resident, gibibytes(2)) << "the host sees its process all the same";
}

TEST_F(MemoryFaults, StatisticsThatStopStayAsTheyWere) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"web","memory":"4G","guest":{"memory":{"pattern":"step",
              "wants":"1G","step_to":"3G","step_after_s":60,"cache":"0"}}}]})");
    wait(30s);
    const auto before = stats();
    world().faults().set_guest(id(), {.silent = true});
    wait(5min);
    EXPECT_EQ(stats().guest_said, before.guest_said);
    EXPECT_EQ(stats().unused, before.unused);
    EXPECT_EQ(stats().resident, gibibytes(3) + mebibytes(100));
    world().faults().set_guest(id(), {});
    EXPECT_EQ(stats().unused, gibibytes(1));
}

TEST_F(MemoryFaults, AGuestThatLiesSaysWhatItIsTold) {
    build(one_guest);
    world().faults().set_guest(id(), {.claims_unused = gibibytes(5)});
    EXPECT_EQ(stats().unused, gibibytes(5));
    EXPECT_EQ(stats().usable, gibibytes(5));
    EXPECT_EQ(stats().disk_caches, gibibytes(1));
}

TEST_F(MemoryFaults, AStoppedScannerStandsStillAndTakesSettingsAllTheSame) {
    build(R"({"hosts":[{"name":"h1","ksm":{"pages_to_scan":10000}}],"vms":[{"name":"deb","count":2,"memory":"4G",
              "guest":{"touched":"2G","sharing":"deb","shared":"1G"}}]})");
    wait(1min);
    world().faults().run_ksm("h1", false);
    const auto before = *read().ksm;
    EXPECT_GT(before.full_scans, 0);
    ASSERT_TRUE(run(io, host->memory().set_ksm({.pages_to_scan = 500, .sleep_ms = 20})));
    wait(1h);
    EXPECT_EQ(read().ksm->full_scans, before.full_scans);
    EXPECT_EQ(read().ksm->pages_sharing, before.pages_sharing) << "what is merged stays so";
    EXPECT_EQ(read().ksm->settings.pages_to_scan, 500);
}

TEST_F(MemoryFaults, WhileTheAdvisorIsOnNobodySetsTheScanRate) {
    build(one_guest);
    world().faults().advise_ksm("h1", true);
    auto wanted = read().ksm->settings;
    wanted.pages_to_scan = 1'000;
    const auto refused = run(io, host->memory().set_ksm(wanted));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::failed_precondition);
    EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("advisor"));
    EXPECT_EQ(read().ksm->settings.pages_to_scan, 100);
    wanted.pages_to_scan = 100;
    wanted.sleep_ms = 50;
    ASSERT_TRUE(run(io, host->memory().set_ksm(wanted)));
    EXPECT_EQ(read().ksm->settings, wanted);
}

TEST_F(MemoryFaults, SettingsThatTheKernelWouldNotTakeAreRefused) {
    build(one_guest);
    const auto refuses = [&](const drivers::KsmSettings& settings) {
        const auto result = run(io, host->memory().set_ksm(settings));
        return !result && result.error().code() == Code::invalid_argument;
    };
    EXPECT_TRUE(refuses({.pages_to_scan = -1, .sleep_ms = 20}));
    EXPECT_TRUE(refuses({.pages_to_scan = 100, .sleep_ms = -1}));
    EXPECT_TRUE(refuses({.pages_to_scan = 1LL << 33, .sleep_ms = 20}));
}

TEST_F(MemoryFaults, MergingAcrossNodesChangesOnlyWhileNothingIsMerged) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"deb","count":2,"memory":"4G",
              "guest":{"touched":"2G","sharing":"deb","shared":"1G"}}]})");
    const drivers::KsmSettings apart{.pages_to_scan = 100, .sleep_ms = 20, .merge_across_nodes = false};
    EXPECT_EQ(run(io, host->memory().set_ksm(apart)).error().code(), Code::failed_precondition);
    ASSERT_TRUE(run(io, host->compute().destroy(id(0))));
    ASSERT_TRUE(run(io, host->memory().set_ksm(apart)));
    EXPECT_FALSE(read().ksm->settings.merge_across_nodes);
}

TEST_F(MemoryFaults, AHostWhoseMemoryShrinksHasLessAndEndsWhatNoLongerFits) {
    build(one_guest);
    world().faults().set_memory("h1", gibibytes(3));
    EXPECT_EQ(read().total, gibibytes(3));
    EXPECT_EQ(read().free, gibibytes(3) - stats().resident);
    EXPECT_EQ(run(io, host->compute().read_facts())->memory, gibibytes(3));
    world().faults().set_memory("h1", gibibytes(1));
    EXPECT_GT(world().pressure_of("h1")->swapped, gibibytes(1));
    world().faults().set_memory("h1", mebibytes(1));
    wait(5s);
    EXPECT_FALSE(has_heard("web stopped: crashed")) << "8 GiB of swap hold it";
}

TEST_F(MemoryFaults, SomebodyElseMovesABalloonAndTunesMerging) {
    build(one_guest);
    ASSERT_TRUE(world().faults().set_balloon("h1", id(), gibibytes(3)));
    ASSERT_TRUE(world().faults().set_ksm("h1", {.pages_to_scan = 64, .sleep_ms = 10}));
    wait(1min);
    EXPECT_EQ(stats().balloon, gibibytes(3));
    EXPECT_EQ(read().ksm->settings.pages_to_scan, 64);
}

TEST_F(MemoryFaults, AnExporterThatIsSilentOrOfADeadHostSaysNothing) {
    build(one_guest);
    EXPECT_TRUE(world().pressure_of("h1"));
    EXPECT_FALSE(world().pressure_of("h9"));
    world().faults().silence_exporter("h1", true);
    EXPECT_FALSE(world().pressure_of("h1"));
    world().faults().silence_exporter("h1", false);
    EXPECT_TRUE(world().pressure_of("h1"));
    world().faults().crash("h1");
    EXPECT_FALSE(world().pressure_of("h1"));
}

TEST_F(MemoryFaults, AHostThatComesBackMergesNothingAndScansAsAtBoot) {
    build(R"({"hosts":[{"name":"h1"}],"vms":[{"name":"deb","count":2,"memory":"4G",
              "guest":{"touched":"2G","sharing":"deb","shared":"1G"}}]})");
    ASSERT_TRUE(run(io, host->memory().set_ksm({.pages_to_scan = 5'000, .sleep_ms = 20})));
    world().faults().crash("h1");
    wait(1min);
    world().faults().revive("h1");
    for (std::size_t i = 0; i < 2; ++i) ASSERT_TRUE(run(io, host->compute().start(id(i))));
    EXPECT_EQ(read().ksm->settings.pages_to_scan, 100);
    EXPECT_EQ(read().ksm->pages_sharing, 0);
    wait(1h);
    EXPECT_EQ(read().ksm->pages_sharing, 1'024 * 256);
}

TEST_F(MemoryFaults, ComeByTheClusterFileToo) {
    build(R"({"hosts":[{"name":"h1","exporter":false}],
              "vms":[{"name":"web","memory":"4G","guest":{"memory":{"wants":"1G","claims_unused":"3G"}}},
                     {"name":"db","memory":"4G","guest":{"memory":{"wants":"1G","cache":"0"}}}],
              "failures":[{"what":"stick_balloon","vm":"db","after_s":60,"lasts_s":60},
                          {"what":"stop_ksm","host":"h1","after_s":60},
                          {"what":"lose_driver","vm":"db","after_s":300}]})");
    EXPECT_FALSE(world().pressure_of("h1"));
    EXPECT_EQ(stats(0).unused, gibibytes(3));
    wait(61s);
    ASSERT_TRUE(set_balloon(gibibytes(2), 1));
    const auto scans = read().ksm->full_scans;
    wait(50s);
    EXPECT_EQ(stats(1).balloon, gibibytes(4));
    wait(60s);
    EXPECT_EQ(stats(1).balloon, gibibytes(2));
    EXPECT_TRUE(stats(1).unused);
    wait(1h);
    EXPECT_EQ(stats(1).unused, std::nullopt);
    EXPECT_EQ(read().ksm->full_scans, scans);
}

TEST_F(MemoryFaults, TheClusterFileRefusesMemoryThatNothingCanHave) {
    const auto error = [](const std::string& host, const std::string& vm) {
        const auto file = sim::parse_cluster(R"({"hosts":[{"name":"h1","memory":"8G")" + host +
                                             R"(}],"vms":[{"name":"web","memory":"2G")" + vm + "}]}");
        return file ? std::string() : file.error().message();
    };
    using ::testing::StartsWith;
    EXPECT_EQ(error("", ""), "");
    EXPECT_THAT(error(R"(,"own":"8G")", ""), StartsWith("hosts[0].own: "));
    EXPECT_THAT(error(R"(,"ksm":{"pages_to_scan":-1})", ""), StartsWith("hosts[0].ksm.pages_to_scan: "));
    EXPECT_THAT(error(R"(,"save_rate":0)", ""), StartsWith("hosts[0].save_rate: "));
    EXPECT_THAT(error("", R"(,"memory_minimum":"3G")"), StartsWith("vms[0].memory_minimum: "));
    EXPECT_THAT(error("", R"(,"overcommit":{"shares":0})"), StartsWith("vms[0].overcommit: "));
    EXPECT_THAT(error("", R"(,"guest":{"memory":{"wants":"3G"}})"), StartsWith("vms[0].guest.memory.wants: "));
    EXPECT_THAT(error("", R"(,"guest":{"memory":{"step_to":"3G"}})"), StartsWith("vms[0].guest.memory.step_to: "));
    EXPECT_THAT(error("", R"(,"guest":{"memory":{"disk":0}})"), StartsWith("vms[0].guest.memory.disk: "));
    EXPECT_THAT(error("", R"(,"guest":{"memory":{"step_every_s":60}})"),
                StartsWith("vms[0].guest.memory.step_every: "));
    EXPECT_THAT(error("", R"(,"guest":{"memory":{"peak_hour":24}})"), StartsWith("vms[0].guest.memory.peak_hour: "));
}

}  // namespace
}  // namespace ballast::testing
