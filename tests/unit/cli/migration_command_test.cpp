// The commands about migrations against a scripted server: what is asked, what is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* hosts = R"({"items":[{"id":"A","name":"h1"},{"id":"B","name":"h2"}],"next":null})";
constexpr const char* vms = R"({"items":[{"id":"v","name":"web1"}],"next":null})";

Script with_names() {
    Script script;
    script.on("GET /api/v1/hosts?limit=1000", hosts).on("GET /api/v1/vms?limit=1000", vms);
    return script;
}

std::string mode(const std::string& name, const std::string& reason, bool feasible = true) {
    return R"({"mode":")" + name +
           R"(","total":{"low_ms":1000,"likely_ms":1600,"high_ms":2500},"downtime":{"low_ms":80,"likely_ms":88,"high_ms":88},
"bytes":{"low_bytes":104857600,"likely_bytes":104857600,"high_bytes":104857600},"brown_out":{"low_ms":0,"likely_ms":0,"high_ms":0},
"rounds":{"low":2,"likely":3,"high":5},"converges":"uncertain","feasible":)" +
           (feasible ? "true" : "false") + R"(,"reason":")" + reason + "\"}";
}

std::string plan(const std::string& choice, const std::string& refusal, const std::string& curve = "null") {
    return R"({"decision":{"chosen":"B","hosts":[]},"to":"B","preflight":[
{"name":"clock","verdict":"warning","detail":"clocks differ by 2 s","way_out":"run a time service"},
{"name":"peer_trust","verdict":"ok","detail":"","way_out":""}],"forecast":{"modes":[)" +
           mode("stop_and_copy", "the guest would stand still for 1.6 s", false) + "," + mode("pre_copy", "3 rounds") +
           "," + mode("post_copy", "not allowed", false) + "," + mode("hybrid", "not allowed", false) +
           R"(],"requested":"auto","choice":)" + choice + R"(,"refusal":")" + refusal +
           R"(","input":{"memory_bytes":268435456,"curve":)" + curve +
           R"(,"link":{"bandwidth":{"likely_bytes_per_second":104857600},"source":"link speed of h1"}}},"no_forecast":""})";
}

const std::string dry_run = "POST /api/v1/vms/web1/migrate?dry_run=true";
const std::string chosen =
    R"({"mode":"pre_copy","reason":"it is the fastest of those within the limits","plan":["raise the downtime"],"warnings":[]})";

TEST(MigrationCommand, ADryRunShowsTheFourModesSideBySideWithTheChosenOneAndWhy) {
    Script script = with_names();
    script.on(dry_run, plan(chosen, ""));
    const Ran ran = ballast(script, {"vm", "migrate", "web1", "--to", "h2", "--dry-run"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("web1 to h2\n"));
    EXPECT_THAT(ran.out, HasSubstr("warning: clock: clocks differ by 2 s; run a time service\n"));
    EXPECT_THAT(ran.out, HasSubstr("not measured yet"));
    EXPECT_THAT(ran.out, HasSubstr("pre-copy       chosen   1.6 s (1.0 s to 2.5 s)  88 ms (80 ms to 88 ms)  100 MiB  "
                                   "3 (2 to 5)"));
    EXPECT_THAT(ran.out, HasSubstr("stop-and-copy  no "));
    EXPECT_THAT(ran.out, HasSubstr("chosen: pre-copy: it is the fastest of those within the limits\n"));
    EXPECT_THAT(ran.out, HasSubstr("  if it must: raise the downtime\n"));
}

TEST(MigrationCommand, ADryRunTellsTheAgeOfAMeasuredCurve) {
    Script script = with_names();
    script.on(dry_run, plan(chosen, "",
                            R"({"rate":{"likely_bytes_per_second":10485760},"working_set":{"likely_bytes":67108864},
"source":"samples","measured":"2026-11-22T11:58:00.000Z"})"));
    const Ran ran = ballast(script, {"vm", "migrate", "web1", "--dry-run"});
    EXPECT_THAT(ran.out, HasSubstr("dirty-page curve: 10 MiB/s into 64 MiB, from samples, measured 2 min ago\n"));
    EXPECT_THAT(ran.out, Not(HasSubstr("not measured yet")));
}

TEST(MigrationCommand, ADryRunThatWouldBeRefusedFailsWithTheReason) {
    Script script = with_names();
    script.on(dry_run, plan("null", "no mode ends within 10 ms; allow 88 ms"));
    const Ran ran = ballast(script, {"vm", "migrate", "web1", "--dry-run"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::conflict));
    EXPECT_THAT(ran.err, HasSubstr("no mode ends within 10 ms; allow 88 ms"));
}

TEST(MigrationCommand, EveryOptionOfAMigrationReachesTheApi) {
    Script script = with_names();
    script.on(dry_run, plan(chosen, ""));
    const Ran ran = ballast(script, {"vm",
                                     "migrate",
                                     "web1",
                                     "--dry-run",
                                     "--to",
                                     "h2",
                                     "--mode",
                                     "pre_copy",
                                     "--downtime",
                                     "50",
                                     "--max-total",
                                     "5min",
                                     "--deadline",
                                     "+10m",
                                     "--allow-post-copy",
                                     "--bandwidth",
                                     "100M",
                                     "--post-copy-bandwidth",
                                     "50M",
                                     "--max-throttle",
                                     "60",
                                     "--priority",
                                     "-5",
                                     "--auto-converge",
                                     "--xbzrle",
                                     "--parallel",
                                     "4",
                                     "--tls",
                                     "--copy-disks",
                                     "incremental"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(
        script.requests.front().body,
        R"({"to":"h2","mode":"pre_copy","policy":{"max_downtime_ms":50,"max_total_ms":300000,"post_copy":true,)"
        R"("bandwidth_bytes_per_second":104857600,"post_copy_bandwidth_bytes_per_second":52428800,"max_throttle":60,)"
        R"("priority":-5},"deadline":"2026-11-22T12:10:00.000Z","knobs":{"auto_converge":true,"xbzrle":true,)"
        R"("parallel":4,"tls":true,"copy_disks":"incremental"}})");
}

TEST(MigrationCommand, WhatCanNotBeMeantIsAUsageError) {
    Script script;
    for (const auto& words :
         std::vector<std::vector<std::string>>{{"vm", "migrate", "a", "--allow-post-copy", "--no-post-copy"},
                                               {"vm", "migrate", "a", "--deadline", "tomorrow"},
                                               {"vm", "migrate", "a", "--downtime", "0"},
                                               {"vm", "migrate", "a", "--max-throttle", "100"},
                                               {"vm", "migrate", "a", "--copy-disks", "some"},
                                               {"migration", "tune", "J1"},
                                               {"migration", "switch", "J1"}}) {
        const Ran ran = ballast(script, words);
        EXPECT_EQ(ran.exit, static_cast<int>(Exit::usage)) << words[2] << ran.err;
    }
    EXPECT_TRUE(script.requests.empty());
}

TEST(MigrationCommand, RoundsShowWhatEachTookAndSent) {
    Script script;
    script.on("GET /api/v1/migrations/J1",
              R"({"id":"J1","rounds":[
{"round":1,"at_ms":1000,"sent_bytes":104857600,"remaining_bytes":20971520,"throughput_bytes_per_second":104857600,"dirty_pages_per_second":5120},
{"round":2,"at_ms":1250,"sent_bytes":125829120,"remaining_bytes":1048576,"throughput_bytes_per_second":104857600,"dirty_pages_per_second":5120}]})");
    const Ran ran = ballast(script, {"migration", "show", "J1", "--rounds"});
    EXPECT_EQ(ran.out,
              "ROUND     AT    TOOK  SENT IN IT     SENT    LEFT  THROUGHPUT  DIRTY PAGES/S\n"
              "    1  1.0 s   1.0 s     100 MiB  100 MiB  20 MiB   100 MiB/s           5120\n"
              "    2  1.2 s  250 ms      20 MiB  120 MiB   1 MiB   100 MiB/s           5120\n");
}

TEST(MigrationCommand, ShowSetsTheForecastBesideTheOutcome) {
    Script script = with_names();
    script.on("GET /api/v1/migrations/J1",
              R"({"id":"J1","vm":"v","mode":"pre_copy","total_ms":1700,"forecast":{"modes":[)" +
                  mode("pre_copy", "3 rounds") + "]}}");
    const Ran ran = ballast(script, {"migration", "show", "J1"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("total:               1.7 s\n"), HasSubstr("1.6 s (1.0 s to 2.5 s)"),
                               Not(HasSubstr("converges"))));
}

TEST(MigrationCommand, AnOperatorsWordsGoToTheMigration) {
    Script script;
    for (const char* verb : {"finish", "switch", "resume", "tune"})
        script.on(fmt::format("POST /api/v1/migrations/J1/{}", verb), R"({"id":"J1"})", 202);
    script.on("POST /api/v1/jobs/J1/cancel", R"({"id":"J1"})", 202);
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"migration", "finish", "J1"},
             {"migration", "switch", "J1", "--yes"},
             {"migration", "resume", "J1"},
             {"migration", "cancel", "J1"},
             {"migration", "tune", "J1", "--downtime", "500", "--bandwidth", "10M"}}) {
        const Ran ran = ballast(script, words);
        EXPECT_EQ(ran.exit, 0) << words[1] << ran.err;
        EXPECT_THAT(ran.out, HasSubstr("migration J1 "));
    }
    EXPECT_EQ(script.requests.back().body, R"({"max_downtime_ms":500,"bandwidth_bytes_per_second":10485760})");
}

TEST(MigrationCommand, TheQueueNamesWhatEachWaitsFor) {
    Script script = with_names();
    script.on(
        "GET /api/v1/migrations/queue",
        R"({"items":[{"job":"J1","vm":"v","position":1,"start":"2026-11-22T12:00:01.000Z","end":"2026-11-22T12:00:09.000Z",
"late":false,"waits":"the link of h1"}],"running":1,"done":null})");
    EXPECT_THAT(ballast(script, {"migration", "queue"}).out,
                AllOf(HasSubstr("web1"), HasSubstr("the link of h1"), HasSubstr("2026-11-22T12:00:09.000Z")));
}

TEST(MigrationCommand, AccuracyHasALineForAllForEachModeAndEachPair) {
    Script script = with_names();
    const std::string numbers =
        R"("migrations":12,"total":{"samples":12,"median":0.08,"p90":0.213},"bytes":{"samples":0},"downtime":{"samples":9,"median":0.5,"p90":1.2},"downtime_within":0.75,"total_inside":0.9)";
    script.on("GET /api/v1/migrations/accuracy", "{\"all\":{\"mode\":null,\"from\":null," + numbers +
                                                     "},\"by_mode\":[{\"mode\":\"pre_copy\"," + numbers +
                                                     "}],\"by_pair\":[{\"mode\":null,\"from\":\"A\",\"to\":\"B\"," +
                                                     numbers + "}],\"without_forecast\":0}");
    const Ran ran = ballast(script, {"migration", "accuracy"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("\nall "), HasSubstr("\npre-copy "), HasSubstr("\nh1 to h2 "),
                               HasSubstr("8 % / 21 %"), HasSubstr("75 %")));
}

TEST(MigrationCommand, CompatibilityShowsEachKnobAndWithAllEachTwo) {
    Script script;
    script.on(
        "GET /api/v1/migrations/compatibility",
        R"({"items":[{"mode":"post_copy","knob":"parallel","with":"","supported":false,"reason":"multifd can't","way_out":"leave it out"},
{"mode":"pre_copy","knob":"tls","with":"","supported":true,"reason":"","way_out":"","needs":"certificates for QEMU"},
{"mode":"pre_copy","knob":"parallel","with":"xbzrle","supported":false,"reason":"not both","way_out":"one of them"}]})");
    EXPECT_THAT(ballast(script, {"migration", "compatibility"}).out,
                AllOf(HasSubstr("multifd can't"), HasSubstr("certificates for QEMU"), Not(HasSubstr("not both"))));
    EXPECT_THAT(ballast(script, {"migration", "compatibility", "--all", "--mode", "pre-copy"}).out,
                AllOf(HasSubstr("not both"), Not(HasSubstr("multifd can't"))));
}

TEST(MigrationCommand, PairsAreAMatrixAndWideIsEveryFinding) {
    Script script = with_names();
    script.on("GET /api/v1/pairs?limit=1000",
              R"({"items":[{"id":"A>B","from":"A","to":"B","checks":[{"name":"clock","verdict":"ok","detail":""},
{"name":"peer_trust","verdict":"refused","detail":"h1 may not log in","way_out":"install its certificate"}],"shared_pools":["nfs"]}],"next":null})");
    const Ran ran = ballast(script, {"host", "pairs"});
    EXPECT_EQ(ran.out,
              "FROM \\ TO  h1           h2\n"
              "h1         -            refused: peer_trust\n"
              "h2         not checked  -\n"
              "h1 to h2: h1 may not log in; install its certificate\n");
    EXPECT_THAT(ballast(script, {"host", "pairs", "-o", "wide"}).out,
                AllOf(HasSubstr("SHARED POOLS"), HasSubstr("peer_trust: h1 may not log in")));
}

TEST(MigrationCommand, PairsAreListedByTheNamesOfTheirHosts) {
    Script script;
    script
        .on("GET /api/v1/hosts?limit=1000",
            R"({"items":[{"id":"A","name":"zeta"},{"id":"B","name":"alpha"}],"next":null})")
        .on("GET /api/v1/pairs?limit=1000",
            R"({"items":[{"id":"A>B","from":"A","to":"B","checks":[],"shared_pools":[]},
{"id":"B>A","from":"B","to":"A","checks":[],"shared_pools":[]}],"next":null})");
    EXPECT_EQ(ballast(script, {"host", "pairs"}).out,
              "FROM \\ TO  alpha  zeta\n"
              "alpha      -      ok\n"
              "zeta       ok     -\n");
    const std::string wide = ballast(script, {"host", "pairs", "-o", "wide"}).out;
    EXPECT_LT(wide.find("\nalpha"), wide.find("\nzeta")) << wide;
}

const std::string evacuation = R"({"id":"E1","kind":"host.evacuate","subject":"h1","result":{"host":"h1",
"moved":[{"name":"web1"},{"name":"web2"}],"failed":[{"name":"big","reason":"no host has room"}],"cancelled":[],
"left":[{"name":"pinned","reason":"its policy `moves` is never"}]},"error":{"code":"failed_precondition","message":"1 of 3 VMs could not be moved"},)";

TEST(MigrationCommand, AnEvacuationNamesWhatMovedFailedAndStayed) {
    Script script;
    script.accepts("POST /api/v1/hosts/h1/evacuate", "E1")
        .on("GET /api/v1/jobs/E1", evacuation + R"("state":"failed"})");
    script.streams = {{}};
    const Ran ran = ballast(script, {"host", "evacuate", "h1", "--maintenance"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::failed));
    EXPECT_EQ(script.requests.front().body, R"({"maintenance":true,"priority":0})");
    EXPECT_EQ(ran.out,
              "failed: big: no host has room\n"
              "left: pinned: its policy `moves` is never\n"
              "moved from h1: web1, web2\n");
    EXPECT_THAT(ran.err, HasSubstr("1 of 3 VMs could not be moved"));
}

TEST(MigrationCommand, ProgressOfAMigrationShowsPhaseRoundAndEta) {
    Script script;
    const std::string job = "GET /api/v1/jobs/J1";
    script.accepts("POST /api/v1/vms/web1/start", "J1")
        .on(job, R"({"id":"J1","state":"running"})")
        .on(job, R"({"id":"J1","state":"succeeded"})");
    const auto progress = [](const std::string& data) {
        return ServerEvent{
            .id = {}, .kind = "progress", .data = R"({"job":"J1","percent":40,"text":"pushing","data":)" + data + "}"};
    };
    script.streams = {
        {progress(R"({"phase":"push","round":2,"sent_bytes":104857600,"remaining_bytes":52428800,
"throughput_bytes_per_second":104857600,"converges":false,"left_ms":1400})"),
         ServerEvent{.id = "1", .kind = "job.succeeded", .data = R"({"subject_kind":"job","subject_id":"J1"})"}}};
    EXPECT_EQ(ballast(script, {"vm", "start", "web1"}).err,
              " 40 %  push, round 2, 100 MiB sent, 50 MiB left, 100 MiB/s, does not converge yet, about 2.0 s to go\n");
}

}  // namespace
}  // namespace ballast::cli::testing
