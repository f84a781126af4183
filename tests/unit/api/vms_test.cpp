// VMs, jobs and placement over HTTP.
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::HasSubstr;

class VmsTest : public ApiTest {};

TEST_F(VmsTest, TakesACreateAsAJobAndReservesTheName) {
    put(a_host("h1").build());
    start();
    const auto answer = client().post("/api/v1/vms", R"({"name":"web1","spec":{"memory":"256M","vcpus":1}})");
    ASSERT_EQ(answer.status, 202) << answer.body;
    const auto job = client().get(answer.header("location"));
    EXPECT_EQ(parsed(job)["kind"], "vm.create");
    EXPECT_EQ(parsed(job)["actor"], "root");
    EXPECT_EQ(parsed(client().get("/api/v1/vms/web1"))["state"], "creating");
    EXPECT_THAT(client().post("/api/v1/vms", R"({"name":"web1","spec":{"memory":"256M"}})"),
                IsProblem(409, "already_exists"));
}

TEST_F(VmsTest, RefusesASpecThatCanNotBe) {
    start();
    EXPECT_THAT(client().post("/api/v1/vms", R"({"name":"web1","spec":{"memory":"256M","memory_minimum":"1G"}})"),
                IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/vms", R"({"name":"web1","host":"h9"})"), IsProblem(404, "not_found"));
}

TEST_F(VmsTest, RefusesANewNameAndSaysWhatToDo) {
    put(a_host("h1").build());
    put(a_vm("web1").on("h1").build());
    start();
    const auto answer = client().patch("/api/v1/vms/web1", R"({"name":"web2","spec":{"autostart":true}})");
    EXPECT_THAT(answer, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(answer.body, HasSubstr("disks kept"));
    EXPECT_FALSE(snapshot()->vms.rows().front()->spec.autostart) << "nothing of it is done";
    EXPECT_EQ(client().patch("/api/v1/vms/web1", R"({"name":"web1","spec":{"autostart":true}})").status, 200);
}

TEST_F(VmsTest, DecidesOnADryRunAndChangesNothing) {
    put(a_host("h1").memory(gibibytes(1)).build());
    put(a_host("h2").memory(gibibytes(16)).build());
    start();
    const auto answer = client().post("/api/v1/vms?dry_run=true", R"({"name":"web1","spec":{"memory":"4G"}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["chosen"], "h2");
    EXPECT_THAT(answer.body, HasSubstr("memory_fit"));
    EXPECT_EQ(snapshot()->vms.size(), 0U);
    EXPECT_EQ(parsed(client().post("/api/v1/placements", R"({"spec":{"memory":"64G"}})"))["chosen"], nullptr);
}

TEST_F(VmsTest, SaysHowManyMoreFitAndWhatBreaksFirst) {
    put(a_host("h1").memory(gibibytes(4)).build());
    put(a_host("h2").memory(gibibytes(8)).build());
    start();
    const auto viewer = client_with(make_token("eyes", Right::viewer));
    HttpClient asking = viewer;
    const auto answer = asking.post("/api/v1/capacity", R"({"spec":{"memory":"1G"}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["more"], 10);
    EXPECT_EQ(parsed(answer)["limited_by"], "memory_fit");
    EXPECT_EQ(parsed(answer)["first_break"]["host"], "h1");
    EXPECT_TRUE(snapshot()->claims.empty());
    const auto there = asking.post("/api/v1/capacity", R"({"spec":{"memory":"1G"},"host":"h1","limit":2})");
    EXPECT_EQ(parsed(there)["more"], 2);
    EXPECT_EQ(parsed(there)["at_least"], true);
    EXPECT_THAT(asking.post("/api/v1/capacity", R"({"spec":{},"limit":0})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(asking.post("/api/v1/capacity", R"({"spec":{"vcpus":100000}})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(asking.post("/api/v1/capacity", R"({"spec":{},"host":"h9"})"), IsProblem(404, "not_found"));
}

TEST_F(VmsTest, RefusesVerbsOnAnObservedVmAndOnAnObservedHost) {
    put(a_host("h1").observed().build());
    put(a_vm("web1").on("h1").observed().build());
    put(a_vm("web2").on("h1").build());
    start();
    const auto vm = client().post("/api/v1/vms/web1/start", "");
    EXPECT_THAT(vm, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(vm.body, HasSubstr("ballast vm adopt web1"));
    const auto host = client().post("/api/v1/vms/web2/start", "{}");
    EXPECT_THAT(host, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(host.body, HasSubstr("ballast host manage h1"));
}

TEST_F(VmsTest, RefusesVerbsOnAnUnknownVm) {
    put(a_host("h1").state(HostState::unreachable).build());
    put(a_vm("web1").on("h1").state(VmState::unknown).build());
    start();
    for (const auto* verb : {"start", "migrate", "delete"})
        EXPECT_THAT(client().post(fmt::format("/api/v1/vms/web1/{}", verb), "{}"),
                    IsProblem(412, "failed_precondition"));
}

TEST_F(VmsTest, ListsTheCandidatesOfAnAmbiguousName) {
    put(a_host("h1").build());
    put(a_host("h2").build());
    put(a_vm("web1").id("u1").on("h1").build());
    put(a_vm("web1").id("u2").on("h2").build());
    start();
    const auto answer = client().get("/api/v1/vms/web1");
    EXPECT_THAT(answer, IsProblem(409, "conflict"));
    EXPECT_THAT(answer.body, HasSubstr("web1@h1 (u1), web1@h2 (u2)"));
    EXPECT_EQ(parsed(client().get("/api/v1/vms/web1@h2"))["id"], "u2");
    EXPECT_EQ(parsed(client().get("/api/v1/vms/web1%40h1"))["id"], "u1");
}

TEST_F(VmsTest, RefusesAMoveToTheSameHostAndToAnObservedOne) {
    put(a_host("h1").build());
    put(a_host("h2").observed().build());
    put(a_vm("web1").on("h1").running().build());
    start();
    EXPECT_THAT(client().post("/api/v1/vms/web1/migrate", R"({"to":"h1"})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/vms/web1/migrate", R"({"to":"h2"})"), IsProblem(412, "failed_precondition"));
    EXPECT_THAT(client().post("/api/v1/vms/web1/migrate", R"({"to":"h9"})"), IsProblem(404, "not_found"));
    EXPECT_THAT(client().post("/api/v1/vms/web1/migrate", R"({"policy":{"max_downtime_ms":0}})"),
                IsProblem(400, "invalid_argument"));
}

TEST_F(VmsTest, AdoptsByNameAndByLabelWithoutTouchingTheDefinition) {
    put(a_host("h1").build());
    Vm labelled = a_vm("web2").on("h1").observed().build();
    labelled.spec.labels["team"] = "a";
    put(a_vm("web1").on("h1").observed().build());
    put(labelled);
    start();
    const auto by_name = client().post("/api/v1/vms/adopt", R"({"names":["web1"]})");
    ASSERT_EQ(by_name.status, 200) << by_name.body;
    EXPECT_EQ(parsed(by_name)["items"][0]["spec"]["moves"], "ask");
    EXPECT_EQ(parsed(by_name)["items"][0]["spec"]["memory_policy"], "none");
    EXPECT_EQ(client().post("/api/v1/vms/adopt", R"({"labels":{"team":"a"}})").status, 200);
    EXPECT_TRUE(snapshot()->vms.find(VmId("web2"))->managed);
    EXPECT_THAT(client().post("/api/v1/vms/adopt", "{}"), IsProblem(400, "invalid_argument"));
}

TEST_F(VmsTest, AdoptsNothingOnAnObservedHost) {
    put(a_host("h1").observed().build());
    put(a_vm("web1").on("h1").observed().build());
    start();
    const auto answer = client().post("/api/v1/vms/adopt", R"({"names":["web1"]})");
    EXPECT_THAT(answer, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(answer.body, HasSubstr("ballast host manage h1"));
    EXPECT_FALSE(snapshot()->vms.find(VmId("web1"))->managed);
}

TEST_F(VmsTest, PatchesLabelsOfAnyVmAndPoliciesOfManagedOnes) {
    put(a_host("h1").build());
    put(a_vm("web1").on("h1").observed().build());
    start();
    EXPECT_EQ(client().patch("/api/v1/vms/web1", R"({"spec":{"labels":{"team":"a"}}})").status, 200);
    EXPECT_THAT(client().patch("/api/v1/vms/web1", R"({"spec":{"moves":"free"}})"),
                IsProblem(412, "failed_precondition"));
    EXPECT_THAT(client().patch("/api/v1/vms/web1", R"({"spec":{"vcpus":4}})"), IsProblem(400, "invalid_argument"));
}

TEST_F(VmsTest, CancelsAJobAndShowsItsProgress) {
    put(a_host("h1").build());
    start();
    const auto made = client().post("/api/v1/vms", R"({"name":"web1","spec":{"memory":"256M"}})");
    const auto id = parsed(made)["id"].get<std::string>();
    boost::asio::post(loop, [this, id] {
        services.progress->publish(
            {.job = JobId(id), .vm = {}, .percent = 30, .text = "copying", .data = {}, .time = {}});
    });
    eventually([&] { return parsed(client().get("/api/v1/jobs/" + id)).contains("progress"); },
               "the job shows progress");
    EXPECT_EQ(parsed(client().get("/api/v1/jobs/" + id))["progress"]["percent"], 30);
    EXPECT_EQ(client().post("/api/v1/jobs/" + id + "/cancel", "").status, 202);
    EXPECT_EQ(parsed(client().get("/api/v1/jobs/" + id))["cancel_requested"], true);
    EXPECT_THAT(client().post("/api/v1/jobs/nope/cancel", ""), IsProblem(404, "not_found"));
}

TEST_F(VmsTest, FiltersByAHostsName) {
    put(a_host("h1").build());
    put(a_vm("web1").on("h1").build());
    put(a_vm("web2").build());
    start();
    const auto page = parsed(client().get("/api/v1/vms?host=h1"));
    ASSERT_EQ(page["items"].size(), 1U);
    EXPECT_EQ(page["items"][0]["name"], "web1");
}

}  // namespace
}  // namespace ballast::api
