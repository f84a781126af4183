// Hosts over HTTP: what SAFETY.md 1 and 3 promise at once.
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::HasSubstr;

class HostsTest : public ApiTest {};

TEST_F(HostsTest, AddsAHostAsObservedUnlessToldOtherwise) {
    start();
    const auto answer = client().post("/api/v1/hosts", R"({"name":"h1","uri":"qemu+tls://node1/system"})");
    ASSERT_EQ(answer.status, 201) << answer.body;
    EXPECT_EQ(parsed(answer)["managed"], false);
    EXPECT_EQ(parsed(answer)["state"], "connecting");
    EXPECT_EQ(client().get(answer.header("location")).status, 200);
}

TEST_F(HostsTest, RefusesAnUnknownSchemeATakenNameAndATakenUri) {
    start();
    EXPECT_THAT(client().post("/api/v1/hosts", R"({"name":"h1","uri":"gopher://node1"})"),
                IsProblem(400, "invalid_argument"));
    ASSERT_EQ(client().post("/api/v1/hosts", R"({"name":"h1","uri":"qemu+tls://node1/system"})").status, 201);
    EXPECT_THAT(client().post("/api/v1/hosts", R"({"name":"h1","uri":"qemu+tls://node2/system"})"),
                IsProblem(409, "already_exists"));
    EXPECT_THAT(client().post("/api/v1/hosts", R"({"name":"h2","uri":"qemu+tls://node1/system"})"),
                IsProblem(409, "already_exists"));
    EXPECT_THAT(client().post("/api/v1/hosts", R"({"name":"../x","uri":"qemu+tls://node3/system"})"),
                IsProblem(400, "invalid_argument"));
}

TEST_F(HostsTest, WaitsForTheHostWhenAskedTo) {
    start();
    auto waiting = std::async(std::launch::async, [this] {
        return client().post("/api/v1/hosts?wait=true", R"({"name":"h1","uri":"qemu+tls://node1/system"})");
    });
    eventually([&] { return snapshot()->hosts.size() == 1; }, "the host is in the inventory");
    Host host = *snapshot()->hosts.rows().front();
    host.state = HostState::quarantined;
    host.state_reason = "it is the same host as h0";
    put(host);
    const auto answer = waiting.get();
    EXPECT_EQ(answer.status, 201);
    EXPECT_EQ(parsed(answer)["state"], "quarantined");
    EXPECT_THAT(answer.body, HasSubstr("the same host as h0"));
}

TEST_F(HostsTest, ManagesObservesAndMaintains) {
    put(a_host("h1").observed().build());
    start();
    EXPECT_EQ(parsed(client().post("/api/v1/hosts/h1/manage", "{}"))["managed"], true);
    EXPECT_EQ(parsed(client().post("/api/v1/hosts/h1/maintenance", ""))["maintenance"], true);
    EXPECT_EQ(parsed(client().post("/api/v1/hosts/h1/maintenance-end", ""))["maintenance"], false);
    EXPECT_EQ(parsed(client().post("/api/v1/hosts/h1/observe", ""))["managed"], false);
}

TEST_F(HostsTest, ChangesOnlyTheSettingsThatAreNamed) {
    put(a_host("h1").label("zone", "a").build());
    start();
    const auto answer =
        client().patch("/api/v1/hosts/h1", R"({"settings":{"reserved_memory":"2G","labels":{"rack":"7"}}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["settings"]["labels"].dump(), R"({"rack":"7","zone":"a"})");
    EXPECT_EQ(snapshot()->hosts.rows().front()->settings.reserved_memory, gibibytes(2));
    EXPECT_THAT(client().patch("/api/v1/hosts/h1", R"({"settings":{"reserved_cpus":-1}})"),
                IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().patch("/api/v1/hosts/h1", R"({"settings":{"colour":"red"}})"),
                IsProblem(400, "invalid_argument"));
}

TEST_F(HostsTest, ConfirmsADeathOnlyByNameWithAReasonOfAHostThatDoesNotAnswer) {
    put(a_host("h1").state(HostState::unreachable).build());
    put(a_host("h2").build());
    put(a_vm("web1").on("h1").state(VmState::unknown).build());
    start();
    EXPECT_THAT(client().post("/api/v1/hosts/h1/confirm-dead", R"({"name":"h2","reason":"fire"})"),
                IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/hosts/h1/confirm-dead", R"({"name":"h1"})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/hosts/h2/confirm-dead", R"({"name":"h2","reason":"fire"})"),
                IsProblem(412, "failed_precondition"));
    const auto answer = client().post("/api/v1/hosts/h1/confirm-dead", R"({"name":"h1","reason":"fire"})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["confirmed_dead"], true);
    EXPECT_EQ(snapshot()->vms.find(VmId("web1"))->state, VmState::stopped);
    EXPECT_FALSE(snapshot()->vms.find(VmId("web1"))->host.has_value());
    EXPECT_EQ(parsed(client().get("/api/v1/events?kind=host.confirmed_dead"))["items"][0]["actor"], "root");
}

TEST_F(HostsTest, KeepsAHostInQuarantineWhileItRunsCopiesOfMovedVms) {
    put(a_host("h1").state(HostState::quarantined, "was confirmed dead").confirmed_dead().build());
    put(a_host("h2").build());
    put(a_vm("web1").on("h2").running().also_defined_on("h1", DomainState::running).build());
    start();
    EXPECT_THAT(client().post("/api/v1/hosts/h1/resolve-quarantine", R"({"reason":"checked"})"),
                IsProblem(412, "failed_precondition"));
    EXPECT_EQ(client().post("/api/v1/hosts/h1/resolve-quarantine", R"({"reason":"checked","force":true})").status, 200);
    EXPECT_FALSE(snapshot()->hosts.find(HostId("h1"))->confirmed_dead);
}

TEST_F(HostsTest, RemovesAHostButNotWhileItIsWorkedOn) {
    put(a_host("h1").build());
    write([](store::Transaction& transaction) -> Result<void> {
        Job job;
        job.id = JobId("j1");
        job.kind = "vm.start";
        job.host = HostId("h1");
        job.state = JobState::running;
        transaction.put(job, {"job.started", "test"});
        return {};
    });
    start();
    EXPECT_THAT(client().del("/api/v1/hosts/h1"), IsProblem(412, "failed_precondition"));
    EXPECT_THAT(client().post("/api/v1/hosts/h1/observe", ""), IsProblem(412, "failed_precondition"));
    write([](store::Transaction& transaction) -> Result<void> {
        Job job = *transaction.snapshot().jobs.find(JobId("j1"));
        job.state = JobState::succeeded;
        transaction.put(job, {"job.succeeded", "test"});
        return {};
    });
    EXPECT_EQ(client().del("/api/v1/hosts/h1").status, 204);
    EXPECT_THAT(client().get("/api/v1/hosts/h1"), IsProblem(404, "not_found"));
}

TEST_F(HostsTest, ChecksNoPairOfObservedHosts) {
    put(a_host("h1").observed().build());
    put(a_host("h2").build());
    start();
    EXPECT_THAT(client().post("/api/v1/pairs/check", R"({"from":"h1","to":"h2"})"),
                IsProblem(412, "failed_precondition"));
    EXPECT_THAT(client().post("/api/v1/pairs/check", R"({"from":"h2","to":"h2"})"), IsProblem(400, "invalid_argument"));
}

}  // namespace
}  // namespace ballast::api
