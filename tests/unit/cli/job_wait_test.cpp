// Waiting for a job on the event stream, and how its end becomes the command's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string start = "POST /api/v1/vms/web1/start";
const std::string job = "GET /api/v1/jobs/J1";
constexpr const char* running = R"({"id":"J1","kind":"vm.start","subject":"web1","state":"running"})";
constexpr const char* succeeded =
    R"({"id":"J1","kind":"vm.start","subject":"web1","state":"succeeded","result":{"host":"h1"}})";

ServerEvent progress(int percent, const std::string& text, const std::string& data = "null") {
    return {.id = {},
            .kind = "progress",
            .data = R"({"job":"J1","percent":)" + std::to_string(percent) + R"(,"text":")" + text + R"(","data":)" +
                    data + "}"};
}

const ServerEvent changed{
    .id = "9", .kind = "", .data = R"({"seq":9,"subject_kind":"job","subject_id":"J1","kind":"job.succeeded"})"};

TEST(JobWait, FollowsTheStreamToTheEnd) {
    Script script;
    script.accepts(start, "J1").on(job, running).on(job, succeeded);
    script.streams = {{progress(30, "defining"), progress(60, "starting"), changed}};
    const Ran ran = ballast(script, {"vm", "start", "web1"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(ran.out, "web1 runs\n");
    EXPECT_EQ(ran.err, " 30 %  defining\n 60 %  starting\n");
    EXPECT_EQ(script.followed.front().target, "/api/v1/events?subject_kind=job&subject=J1");
}

TEST(JobWait, AJobThatEndedBeforeTheStreamOpenedIsNotWaitedFor) {
    Script script;
    script.accepts(start, "J1").on(job, succeeded);
    script.streams = {{}};
    EXPECT_EQ(ballast(script, {"vm", "start", "web1"}).exit, 0);
}

TEST(JobWait, ALostStreamIsOpenedAgainAfterTheLastEvent) {
    Script script;
    script.accepts(start, "J1").on(job, running).on(job, running).on(job, succeeded);
    script.streams = {{{.id = "41", .kind = "", .data = R"({"seq":41,"subject_kind":"vm"})"}}, {changed}};
    EXPECT_EQ(ballast(script, {"vm", "start", "web1"}).exit, 0);
    ASSERT_EQ(script.followed.size(), 2U);
    EXPECT_EQ(script.followed[1].headers.at("last-event-id"), "41");
}

TEST(JobWait, AFailedJobTellsItsCausesAndExitsWith1) {
    Script script;
    script.accepts(start, "J1")
        .on(job,
            R"({"id":"J1","kind":"vm.start","subject":"web1","state":"failed","error":{"code":"failed_precondition","message":"its disk is gone","causes":["no such file"]}})");
    script.streams = {{}};
    const Ran ran = ballast(script, {"vm", "start", "web1"});
    EXPECT_EQ(ran.exit, 1);
    EXPECT_EQ(ran.err,
              "error: job J1 (vm.start web1) failed: its disk is gone\n"
              "  because: no such file\n"
              "next: `ballast job show J1` has its steps\n");
}

TEST(JobWait, AJobThatFoundNoRoomExitsWith7) {
    Script script;
    script.accepts(start, "J1")
        .on(job, R"({"id":"J1","state":"failed","error":{"code":"resource_exhausted","message":"no host fits"}})");
    script.streams = {{}};
    EXPECT_EQ(ballast(script, {"vm", "start", "web1"}).exit, 7);
}

TEST(JobWait, ACancelledJobExitsWith1) {
    Script script;
    script.accepts(start, "J1").on(job, R"({"id":"J1","kind":"vm.start","subject":"web1","state":"cancelled"})");
    script.streams = {{}};
    const Ran ran = ballast(script, {"vm", "start", "web1"});
    EXPECT_EQ(ran.exit, 1);
    EXPECT_THAT(ran.err, HasSubstr("job J1 (vm.start web1) was cancelled"));
}

TEST(JobWait, WhenTheTimeIsOverTheJobGoesOn) {
    Script script;
    script.accepts(start, "J1").on(job, running);
    const Ran ran = ballast(script, {"vm", "start", "web1", "--timeout", "1ms"});
    EXPECT_EQ(ran.exit, 6);
    EXPECT_THAT(ran.err, HasSubstr("ballast job watch J1"));
}

TEST(JobWait, AMigrationEndsWithWhatWasMeasured) {
    Script script;
    script.on("GET /api/v1/hosts?limit=1000",
              R"({"items":[{"id":"A","name":"h1"},{"id":"B","name":"h2"}],"next":null})");
    script.on("GET /api/v1/vms?limit=1000", R"({"items":[{"id":"v","name":"web1"}],"next":null})");
    script.accepts("POST /api/v1/vms/web1/migrate", "J1").on(job, running).on(job, succeeded);
    script.on(
        "GET /api/v1/migrations/J1",
        R"({"id":"J1","vm":"v","from":"A","to":"B","total_ms":1600,"downtime_ms":88,"sent_bytes":248512512,"rounds":[{"round":1},{"round":2}]})");
    script.streams = {
        {progress(
             40, "round 2",
             R"({"phase":"push","round":2,"sent_bytes":104857600,"remaining_bytes":52428800,"throughput_bytes_per_second":104857600})"),
         changed}};
    const Ran ran =
        ballast(script, {"vm", "migrate", "web1", "--to", "h2", "--mode", "pre-copy", "--bandwidth", "100M"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(script.requests.front().body,
              R"({"to":"h2","mode":"pre_copy","policy":{"bandwidth_bytes_per_second":104857600}})");
    EXPECT_EQ(ran.err, " 40 %  push, round 2, 100 MiB sent, 50 MiB left, 100 MiB/s\n");
    EXPECT_EQ(ran.out, "web1 moved from h1 to h2 in 1.6 s, downtime 88 ms, 237 MiB sent, 2 rounds\n");
}

TEST(JobWait, OnATerminalTheBarIsDrawnAndCleared) {
    Script script;
    script.accepts(start, "J1").on(job, running).on(job, succeeded);
    script.streams = {{progress(50, "starting"), changed}};
    const Ran ran = ballast(script, {"vm", "start", "web1"}, {.is_terminal = true, .width = 60, .typed = {}});
    EXPECT_THAT(ran.err, AllOf(HasSubstr("############............  50 %  starting"), ::testing::EndsWith("\r\x1b[K")));
}

TEST(JobWait, ForScriptsTheFinishedJobIsPrinted) {
    Script script;
    script.accepts(start, "J1").on(job, succeeded);
    script.streams = {{}};
    EXPECT_EQ(Json::parse(ballast(script, {"vm", "start", "web1", "-o", "json"}).out)["state"], "succeeded");
}

}  // namespace
}  // namespace ballast::cli::testing
