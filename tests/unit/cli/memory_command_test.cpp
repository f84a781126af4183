// `ballast memory`, `host memory`, `vm memory` and the flags that say how memory may be taken, against a scripted
// server.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* cluster = R"({"hosts":[
{"host":"H1","name":"h1","policy":"balanced","now":{"at":"2026-11-22T11:59:57.000Z","sight":"full","level":"tight",
"total_bytes":17179869184,"reserve_bytes":1073741824,"free_bytes":2147483648,"promised_bytes":25769803776,
"ballooned_bytes":8589934592,"saved_bytes":0,"risk":0.0002,"unmet_bytes":0,"admits":true,"vms":6,"standing_back":""}},
{"host":"H2","name":"h2","policy":"none","now":null}],
"sums":{"hosts":2,"hosts_read":1,"vms":6,"total_bytes":17179869184,"reserve_bytes":1073741824,"free_bytes":2147483648,
"promised_bytes":25769803776,"ballooned_bytes":8589934592,"saved_bytes":0,"unmet_bytes":0,"worst_level":"tight",
"highest_risk":0.0002}})";

constexpr const char* host = R"({"host":"H1","name":"h1","at":"2026-11-22T11:59:57.000Z","policy":"balanced",
"standing_back":"","total_bytes":17179869184,"parts":[{"part":"guest in use","size_bytes":8589934592},
{"part":"free","size_bytes":8588886016},{"part":"unexplained","size_bytes":1048576}],
"promises":{"promised_bytes":25769803776,"resident_guest_bytes":12884901888,"ballooned_bytes":8589934592,"never_touched_bytes":4294967296},
"level":"tight","level_since":"2026-11-22T11:50:00.000Z","level_why":"1 GiB is available of 1.3 GiB that are kept",
"admits":false,"risk":{"verdict":"admitted","risk":0.0002,"missing_bytes":0,"words":"p99 demand leaves 3.8 GiB; 0.02 %"},
"unmet_bytes":209715200,
"ksm":{"state":"scanning","why":"","now":{"pages_to_scan":250,"sleep_ms":20,"merge_across_nodes":true},"managed":true,
"set":{"pages_to_scan":500,"merge_across_nodes":null},"found":{"pages_to_scan":100,"merge_across_nodes":true},
"foreign":"","stands_back_until":null,"shared_bytes":1048576,
"saved_bytes":1073741824,"expected":{"low_bytes":536870912,"likely_bytes":1073741824,"high_bytes":2147483648,"measured":false},
"gain_pages_per_cpu_second":1200.4,"estimated_cpu_share":0.1},
"exporter":{"sight":"blind","url":"","why":""},
"vms":[{"vm":"v-1","name":"web1","maximum_bytes":4294967296,"minimum_bytes":1073741824,"balloon_bytes":3221225472,
"target_bytes":2147483648,"policy":"balanced","working_set":{"trust":"trusted","size_bytes":1610612736,"idle":0.5,"why":""},
"left_alone":""},
{"vm":"v-2","name":"old","maximum_bytes":4294967296,"minimum_bytes":4294967296,"balloon_bytes":4294967296,
"target_bytes":4294967296,"policy":"none","working_set":{"trust":"no_driver","size_bytes":4294967296,"idle":0,
"why":"it has no balloon"},"left_alone":"its policy is none"}]})";

TEST(MemoryCommand, ListsHostsWithWhatIsPromisedAndTheSum) {
    Script script;
    script.on("GET /api/v1/memory", cluster);
    const Ran ran = ballast(script, {"memory"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(
        ran.out,
        "HOST   POLICY    LEVEL   TOTAL   FREE       PROMISED  BALLOONED  SAVED    RISK  UNMET  VMS  NOTE\n"
        "h1     balanced  tight  16 GiB  2 GiB  24 GiB (1.5x)      8 GiB      -  0.02 %      -    6  -\n"
        "h2     none      -           -      -              -          -      -       -      -    -  not read yet\n"
        "all 2  -         tight  16 GiB  2 GiB  24 GiB (1.5x)      8 GiB      -  0.02 %      -    6  1 not read yet\n");
}

TEST(MemoryCommand, WhereNoHostWasReadTheSumHasNoLevel) {
    Script script;
    script.on("GET /api/v1/memory", R"({"hosts":[{"host":"H2","name":"h2","policy":"none","now":null}],)"
                                    R"("sums":{"hosts":1,"hosts_read":0,"worst_level":"comfortable"}})");
    EXPECT_THAT(ballast(script, {"memory"}).out, AllOf(HasSubstr("1 not read yet"), Not(HasSubstr("comfortable"))));
}

TEST(MemoryCommand, TheDocumentItselfIsGivenAsJsonAndTheHostsAsNames) {
    Script script;
    script.on("GET /api/v1/memory", cluster);
    EXPECT_EQ(Json::parse(ballast(script, {"memory", "-o", "json"}).out), Json::parse(cluster));
    EXPECT_EQ(ballast(script, {"memory", "-o", "name"}).out, "h1\nh2\n");
}

TEST(MemoryCommand, ShowsWhereEveryByteOfAHostIs) {
    Script script;
    script.on("GET /api/v1/hosts/h1/memory", host);
    const Ran ran = ballast(script, {"host", "memory", "h1"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(
        ran.out,
        "WHERE           SIZE  SHARE\n"
        "guest in use   8 GiB  ##########..........  50 %\n"
        "free           8 GiB  ##########..........  50 %\n"
        "unexplained    1 MiB  ....................   0 %\n"
        "total         16 GiB\n"
        "\n"
        "policy:         balanced\n"
        "promised:       24 GiB to 2 VMs, 1.5 times its memory: 12 GiB resident, 8 GiB ballooned, 4 GiB never "
        "touched\n"
        "level:          tight for 10 min, takes no more VMs: 1 GiB is available of 1.3 GiB that are kept\n"
        "risk:           p99 demand leaves 3.8 GiB; 0.02 %\n"
        "missing:        200 MiB to working sets and their margins\n"
        "page sharing:   scanning, saves 1 GiB of 512 MiB to 2 GiB that are expected, takes about 10 % of a core "
        "(an estimate) and gains 1200 pages per CPU second\n"
        "its settings:   250 pages every 20 ms, merged across NUMA nodes; Ballast sets 500, and found 100\n"
        "exporter:       none: neither pressure nor swapping is seen, so the reserve is larger (`ballast host set "
        "--exporter`)\n"
        "read:           3 s ago\n"
        "\n"
        "VM    POLICY    MINIMUM  MAXIMUM    HAS  TARGET    NEEDS  IDLE  BELIEVED  NOTE\n"
        "web1  balanced    1 GiB    4 GiB  3 GiB   2 GiB  1.5 GiB  50 %  yes       -\n"
        "old   none        4 GiB    4 GiB  4 GiB   4 GiB    4 GiB   0 %  no        its policy is none; it has no "
        "balloon\n");
}

TEST(MemoryCommand, SaysWhoseTheSettingsOfPageMergingAre) {
    const auto settings = [](const std::string& ksm) {
        Json body = Json::parse(host);
        body["ksm"] = Json::parse(ksm);
        Script script;
        script.on("GET /api/v1/hosts/h1/memory", body.dump());
        return ballast(script, {"host", "memory", "h1"}).out;
    };
    EXPECT_THAT(settings(R"({"state":"foreign","why":"somebody else tunes it","managed":false,
                             "now":{"pages_to_scan":7777,"sleep_ms":10,"merge_across_nodes":false},
                             "set":{"pages_to_scan":500},"found":{"pages_to_scan":100},
                             "stands_back_until":"2026-11-22T13:00:00.000Z"})"),
                HasSubstr("its settings:   7777 pages every 10 ms, merged within NUMA nodes; somebody else's, Ballast "
                          "had set 500 and stands back until 2026-11-22T13:00:00.000Z\n"));
    EXPECT_THAT(settings(R"({"state":"off","why":"the policy leaves KSM as it is","managed":false,"set":null,
                             "now":{"pages_to_scan":100,"sleep_ms":20,"merge_across_nodes":true},"found":null})"),
                HasSubstr("its settings:   100 pages every 20 ms, merged across NUMA nodes; Ballast leaves them as "
                          "they are\n"));
    EXPECT_THAT(settings(R"({"state":"absent","why":"","now":null})"), Not(HasSubstr("its settings")));
}

TEST(MemoryCommand, SaysHowMuchOfTheHostIsSeen) {
    const auto seen = [](const std::string& exporter) {
        std::string body = host;
        const std::string blind = R"("exporter":{"sight":"blind","url":"","why":""})";
        body.replace(body.find(blind), blind.size(), R"("exporter":)" + exporter);
        Script script;
        script.on("GET /api/v1/hosts/h1/memory", body);
        return ballast(script, {"host", "memory", "h1"}).out;
    };
    EXPECT_THAT(seen(R"({"sight":"blind","url":"http://h1:9100/metrics","why":""})"),
                HasSubstr("exporter:       http://h1:9100/metrics has not shown pressure"));
    EXPECT_THAT(seen(R"({"sight":"full","url":"http://h1:9100/metrics","why":""})"),
                HasSubstr("pressure and swapping are read from http://h1:9100/metrics\n"));
    EXPECT_THAT(seen(R"({"sight":"unreadable","url":"http://h1:9100/metrics","why":"it can't be reached"})"),
                HasSubstr("http://h1:9100/metrics can't be read, so the reserve is larger: it can't be reached\n"));
}

TEST(MemoryCommand, AHostThatWasNotReadSaysWhy) {
    Script script;
    script.refuses("GET /api/v1/hosts/h2/memory", 503, "unavailable", "the memory of host h2 was not read yet");
    const Ran ran = ballast(script, {"host", "memory", "h2"});
    EXPECT_NE(ran.exit, 0);
    EXPECT_THAT(ran.err, HasSubstr("was not read yet"));
}

constexpr const char* past = R"({"host":"H1","name":"h1","resolution":"10s","items":[
{"at":"2026-11-22T11:59:40.000Z","watched_s":10,"level":"tight","risk":0.02,"vms":6,"least_free_bytes":1073741824,
"most_unmet_bytes":0,"total_bytes":17179869184,"parts":[{"part":"guest in use","size_bytes":8589934592},
{"part":"free","size_bytes":2147483648}],"saved_bytes":0,"promised_bytes":25769803776,"ballooned_bytes":8589934592,
"never_touched_bytes":0}]})";

TEST(MemoryCommand, ItsHistoryIsATable) {
    Script script;
    script.on("GET /api/v1/hosts/h1/memory/history?resolution=10s&limit=5000", past);
    script.on("GET /api/v1/hosts/h1/memory/history?resolution=10m&limit=5000", R"({"items":[]})");
    const Ran ran = ballast(script, {"host", "memory", "h1", "--history"});
    EXPECT_EQ(
        ran.out,
        "TIME                      WORST   FREE  LEAST FREE  IN USE  BALLOONED  SAVED  RISK  UNMET  VMS  WATCHED\n"
        "2026-11-22T11:59:40.000Z  tight  2 GiB       1 GiB   8 GiB      8 GiB      -   2 %      -    6     10 s\n")
        << ran.err;
    EXPECT_EQ(ballast(script, {"host", "memory", "h1", "--history", "10m"}).exit, 0);
    EXPECT_EQ(ballast(script, {"host", "memory", "h1", "--history", "5m"}).exit, 2);
}

TEST(MemoryCommand, AVmIsToldWhatItHasNeedsAndIsToGet) {
    Script script;
    script.on("GET /api/v1/hosts?limit=1000", R"({"items":[{"id":"H1","name":"h1"}],"next":null})");
    script.on("GET /api/v1/vms/web1/memory",
              R"({"vm":"v-1","name":"web1","host":"H1","at":"2026-11-22T11:59:57.000Z","host_level":"tight",
"standing_back":"","overcommit":{"shares":1000,"priority":5,"merge":true,"may_suspend":false},
"pending":"page merging is to be on","now":{"name":"web1","maximum_bytes":4294967296,"minimum_bytes":1073741824,
"balloon_bytes":3221225472,"resident_bytes":3221225472,"overhead_bytes":104857600,"target_bytes":2147483648,
"policy":"balanced","group":"debian","working_set":{"trust":"trusted","size_bytes":1610612736,"needed_bytes":1,
"mean_bytes":1073741824,"deviation_bytes":104857600,"page_cache_bytes":536870912,"unused_bytes":1073741824,
"idle":0.5,"lacks":true,"why":""},"left_alone":""}})");
    const Ran ran = ballast(script, {"vm", "memory", "web1"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(ran.out,
              "host:           h1, tight\n"
              "has:            3 GiB, is to have 2 GiB; at least 1 GiB, at most 4 GiB\n"
              "needs:          1.5 GiB, idle 50 %; over a day 1 GiB give or take 100 MiB; it swaps or faults: it has "
              "less than it needs\n"
              "of that:        512 MiB page cache, 1 GiB unused\n"
              "on the host:    3 GiB resident, 100 MiB of it QEMU's own\n"
              "policy:         balanced; 1000 shares, priority 5, may share pages, is never suspended\n"
              "alike:          debian\n"
              "pending:        page merging is to be on\n"
              "read:           3 s ago\n");
}

TEST(MemoryCommand, AVmsHistoryIsATable) {
    Script script;
    script.on("GET /api/v1/vms/web1/memory/history?resolution=1m&limit=5000",
              R"({"vm":"v-1","name":"web1","resolution":"1m","items":[
{"at":"2026-11-22T11:58:00.000Z","watched_s":60,"balloon_bytes":3221225472,"working_set_bytes":1610612736,
"page_cache_bytes":536870912,"resident_bytes":3221225472,"lacked_s":0,"believed":true},
{"at":"2026-11-22T11:59:00.000Z","watched_s":40,"balloon_bytes":2147483648,"working_set_bytes":2684354560,
"page_cache_bytes":0,"resident_bytes":2147483648,"lacked_s":20,"believed":false}]})");
    const Ran ran = ballast(script, {"vm", "memory", "web1", "--history"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(ran.out,
              "TIME                        HAS    NEEDS    CACHE  RESIDENT  LACKED  BELIEVED  WATCHED\n"
              "2026-11-22T11:58:00.000Z  3 GiB  1.5 GiB  512 MiB     3 GiB       -  yes          60 s\n"
              "2026-11-22T11:59:00.000Z  2 GiB  2.5 GiB      0 B     2 GiB    20 s  no           40 s\n");
    script.on("GET /api/v1/vms/web1/memory/history?resolution=10m&limit=5000", R"({"items":[]})");
    EXPECT_EQ(ballast(script, {"vm", "memory", "web1", "--history", "10m"}).exit, 0);
    EXPECT_EQ(ballast(script, {"vm", "memory", "web1", "--history", "10s"}).exit, 2) << "hosts alone have that";
}

TEST(MemoryCommand, OnlyWhatIsNamedOfAVmGoesOut) {
    Script script;
    script.on("PATCH /api/v1/vms/web1", R"({"name":"web1","alerts":["next start: page merging is to be off"]})");
    const Ran ran =
        ballast(script, {"vm", "set", "web1", "--memory-policy", "dense", "--priority", "-3", "--no-merge"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(script.requests.back().body,
              R"({"spec":{"memory_policy":"dense","overcommit":{"priority":-3,"merge":false}}})");
    EXPECT_THAT(ran.out, HasSubstr("at its next start: page merging is to be off"));
    ballast(script, {"vm", "set", "web1", "--may-suspend", "--merge", "--shares", "2000"});
    EXPECT_EQ(script.requests.back().body,
              R"({"spec":{"overcommit":{"shares":2000,"merge":true,"may_suspend":true}}})");
    EXPECT_EQ(ballast(script, {"vm", "set", "web1"}).exit, 2);
    EXPECT_EQ(ballast(script, {"vm", "set", "web1", "--shares", "0"}).exit, 2);
}

TEST(MemoryCommand, AVmIsMadeWithWhatItAsks) {
    Script script;
    script.accepts("POST /api/v1/vms", "j1");
    const Ran ran =
        ballast(script, {"vm", "create", "a", "--memory", "1G", "--memory-minimum", "512M", "--shares", "500",
                         "--no-merge", "--may-suspend", "--no-balloon", "--memory-policy", "gentle", "--no-wait"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(script.requests.back().body,
                AllOf(HasSubstr(R"("memory_policy":"gentle")"),
                      HasSubstr(R"("overcommit":{"shares":500,"merge":false,"may_suspend":true})"),
                      HasSubstr(R"("balloon":{"enabled":false})")));
    ballast(script, {"vm", "create", "a", "--no-wait"});
    EXPECT_THAT(script.requests.back().body, AllOf(Not(HasSubstr("overcommit")), Not(HasSubstr("balloon"))));
}

TEST(MemoryCommand, ADocumentChangesWhatItNamesOfAVmThatExists) {
    const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "memory-command-vm.yaml";
    std::ofstream(path) << "kind: vm\nname: web1\nspec:\n  overcommit:\n    shares: 2000\n";
    Script script;
    script.on("GET /api/v1/vms/web1", R"({"name":"web1","spec":{"overcommit":{"shares":1000,"priority":3}}})");
    script.on("PATCH /api/v1/vms/web1", R"({"name":"web1"})");
    const Ran ran = ballast(script, {"vm", "apply", "-f", path.string()});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(script.requests.back().body, R"({"spec":{"overcommit":{"shares":2000}}})");
    std::filesystem::remove(path);
}

TEST(MemoryCommand, AHostsPolicyAndExporterAreSetAndTakenAway) {
    Script script;
    script.on("PATCH /api/v1/hosts/h1", R"({"name":"h1"})");
    ballast(script, {"host", "set", "h1", "--memory-policy", "dense", "--exporter", "http://h1:9100/metrics"});
    EXPECT_EQ(script.requests.back().body,
              R"({"settings":{"memory_policy":"dense","exporter":"http://h1:9100/metrics"}})");
    ballast(script, {"host", "set", "h1", "--memory-policy", "default", "--exporter", "none"});
    EXPECT_EQ(script.requests.back().body, R"({"settings":{"memory_policy":null,"exporter":""}})");
    EXPECT_EQ(ballast(script, {"host", "set", "h1", "--memory-policy", "greedy"}).exit, 2);
}

}  // namespace
}  // namespace ballast::cli::testing
