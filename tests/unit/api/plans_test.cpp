// Plans over HTTP, with a planner of the test's own: made, kept, approved, applied, called off; snapshots of any
// moment.
#include "daemon/jobs/rebalance/plan_desk.h"
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::api {
namespace {

using scheduler::ClusterPlan;
using test::a_host;
using test::a_vm;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// web1 moves from h1 to h2 as long as it is on h1.
Result<ClusterPlan> plan_web1(const Snapshot& snapshot, const scheduler::PlanOptions& options) {
    ClusterPlan plan;
    plan.goal = options.goal;
    plan.made = options.now;
    plan.verdict = "nothing worth moving";
    const auto vm = find_vm(snapshot, "web1");
    if (!vm || (*vm)->host != HostId("h1")) return plan;
    scheduler::PlanStep step;
    step.number = 1;
    step.vm = (*vm)->id;
    step.name = "web1";
    step.from = HostId("h1");
    step.to = HostId("h2");
    step.from_name = "h1";
    step.to_name = "h2";
    step.reason = "h1 is busy";
    plan.steps.push_back(step);
    plan.before.contention_s = 30.5;
    plan.verdict = "1 move gains 30 s for 2 s";
    return plan;
}

class PlansTest : public ApiTest {
  public:
    PlansTest() {
        jobs::Services work;
        work.executor = loop.get_executor();
        work.store = services.store;
        work.hosts = services.hosts;
        work.clock = services.clock;
        work.ids = services.ids;
        work.progress = services.progress;
        work.memory = [this] { return memory; };
        services.plans = std::make_shared<jobs::PlanDesk>(
            work,
            jobs::Planner{.plan = [](const Snapshot& snapshot, const auto&, const auto&, const auto&,
                                     const scheduler::PlanOptions& options, const auto&,
                                     const auto&) { return plan_web1(snapshot, options); },
                          .check = [](const Snapshot&, const ClusterPlan&, const scheduler::PlanStep&,
                                      const scheduler::Preferences&) { return Result<void>{}; }},
            jobs::StatsNow());
        put(a_host("h1").build());
        put(a_host("h2").build());
        put(a_vm("web1").on("h1").running().build());
    }
    ~PlansTest() override { services.plans->stop(); }
    std::shared_ptr<scheduler::ShareOfMaximum> memory;

    std::string made() {
        const auto answer = client().post("/api/v1/plans", "{}");
        EXPECT_EQ(answer.status, 201) << answer.body;
        return parsed(answer)["id"];
    }
    [[nodiscard]] Json plan(const std::string& id) const { return parsed(client().get("/api/v1/plans/" + id)); }
};

TEST_F(PlansTest, WhatIfIsAnsweredByWhatWasMeasuredAndChangesNothing) {
    for (const char* name : {"h1", "h2"})
        put(a_host(name).memory(gibibytes(6)).memory_policy(MemoryPolicy::balanced).build());
    for (const char* name : {"web1", "web2"})
        put(a_vm(name)
                .memory(gibibytes(4))
                .minimum(gibibytes(1))
                .on(name == std::string("web1") ? "h1" : "h2")
                .running()
                .build());
    start();
    const auto before = snapshot()->seq;
    const auto lost = [&](double share) {
        memory = std::make_shared<scheduler::ShareOfMaximum>(share);
        const auto answer = client().post("/api/v1/what-if", R"({"lose":["h1"]})");
        EXPECT_EQ(answer.status, 200) << answer.body;
        return parsed(answer);
    };
    EXPECT_EQ(lost(0.5)["plan"]["steps"][0]["to_name"], "h2");
    EXPECT_EQ(lost(1.0)["not_restarted"][0]["name"], "web1");
    EXPECT_EQ(snapshot()->seq, before);
    EXPECT_THAT(client().post("/api/v1/what-if", R"({"lose":["h9"]})"), IsProblem(404, "not_found"));
    EXPECT_THAT(client().post("/api/v1/what-if", "{}"), IsProblem(400, "invalid_argument"));
}

TEST_F(PlansTest, APlanIsKeptUntilSomebodySaysYes) {
    start();
    const auto answer = client().post("/api/v1/plans", R"({"goal":"level","max_moves":3,"budget_ms":500})");
    ASSERT_EQ(answer.status, 201) << answer.body;
    const Json row = parsed(answer);
    EXPECT_EQ(answer.header("location"), "/api/v1/plans/" + row["id"].get<std::string>());
    EXPECT_EQ(row["state"], "advised");
    EXPECT_EQ(row["moves"], 1);
    EXPECT_EQ(row["verdict"], "1 move gains 30 s for 2 s");
    EXPECT_EQ(row["options"]["max_moves"], 3);
    EXPECT_EQ(row["plan"]["steps"][0]["reason"], "h1 is busy");
    const auto again = client().get("/api/v1/plans/" + row["id"].get<std::string>());
    EXPECT_EQ(again.status, 200);
    EXPECT_FALSE(again.header("etag").empty());
    EXPECT_EQ(parsed(again), row);
    EXPECT_THAT(parsed(client().get("/api/v1/plans?state=advised"))["items"], SizeIs(1));
    EXPECT_THAT(parsed(client().get("/api/v1/plans?state=applied"))["items"], IsEmpty());
}

TEST_F(PlansTest, AreCountedByGoalAndStateForPrometheus) {
    start();
    EXPECT_THAT(client().get("/metrics").body, testing::Not(HasSubstr("ballast_contention_seconds_per_hour{")));
    made();
    const std::string text = client().get("/metrics").body;
    EXPECT_THAT(text, HasSubstr("ballast_plans{goal=\"level\",state=\"advised\"} 1"));
    EXPECT_THAT(text, HasSubstr("ballast_contention_seconds_per_hour{when=\"before\"} 30.5"));
    EXPECT_THAT(text, HasSubstr("ballast_contention_seconds_per_hour{when=\"after\"} 0"));
}

TEST_F(PlansTest, ADryRunKeepsNothing) {
    start();
    const auto answer = client().post("/api/v1/plans?dry_run=true", "{}");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["id"], "");
    EXPECT_THAT(parsed(answer)["plan"]["steps"], SizeIs(1));
    EXPECT_EQ(snapshot()->plans.size(), 0U);
}

TEST_F(PlansTest, NothingWorthMovingIsAnAnswerAndNoRow) {
    put(a_vm("web1").on("h2").running().build());
    start();
    const auto answer = client().post("/api/v1/plans", "{}");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["verdict"], "nothing worth moving");
    EXPECT_EQ(snapshot()->plans.size(), 0U);
}

TEST_F(PlansTest, ARepeatedRequestGetsTheSamePlan) {
    start();
    const auto post = [&] { return client().post("/api/v1/plans", "{}", {{"idempotency-key", "k1"}}); };
    const auto first = post();
    EXPECT_EQ(first.status, 201);
    EXPECT_EQ(post().body, first.body);
    EXPECT_EQ(snapshot()->plans.size(), 1U);
}

TEST_F(PlansTest, IsApprovedThenAppliedOnce) {
    start();
    const std::string id = made();
    const auto approved = client().post("/api/v1/plans/" + id + "/approve", "");
    ASSERT_EQ(approved.status, 200) << approved.body;
    EXPECT_EQ(parsed(approved)["state"], "approved");
    const auto applied = client().post("/api/v1/plans/" + id + "/apply", "");
    ASSERT_EQ(applied.status, 202) << applied.body;
    const Json job = parsed(applied);
    EXPECT_EQ(job["kind"], "cluster.rebalance");
    EXPECT_EQ(job["subject"], "level");
    EXPECT_EQ(applied.header("location"), "/api/v1/jobs/" + job["id"].get<std::string>());
    EXPECT_EQ(plan(id)["state"], "applying");
    EXPECT_EQ(plan(id)["job"], job["id"]);
    EXPECT_THAT(client().post("/api/v1/plans/" + id + "/apply", ""), IsProblem(412, "failed_precondition"));
}

TEST_F(PlansTest, ASecondRunIsRefusedAndNamesTheFirst) {
    start();
    const std::string first = made();
    const std::string second = made();
    const auto applied = client().post("/api/v1/plans/" + first + "/apply", "");
    ASSERT_EQ(applied.status, 202);
    const auto refused = client().post("/api/v1/plans/" + second + "/apply", "");
    EXPECT_THAT(refused, IsProblem(409, "conflict"));
    EXPECT_THAT(refused.body, HasSubstr(parsed(applied)["id"].get<std::string>()));
    EXPECT_EQ(plan(second)["state"], "advised");
}

TEST_F(PlansTest, AStalePlanIsRefusedWithTheWayOut) {
    start();
    const std::string id = made();
    clock->advance(std::chrono::hours(2));
    const auto refused = client().post("/api/v1/plans/" + id + "/apply", "");
    EXPECT_THAT(refused, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(refused.body, HasSubstr("stale"));
    EXPECT_THAT(refused.body, HasSubstr("ballast rebalance"));
}

TEST_F(PlansTest, IsCalledOffByCancelOrDelete) {
    start();
    const std::string first = made();
    EXPECT_EQ(parsed(client().post("/api/v1/plans/" + first + "/cancel", ""))["state"], "cancelled");
    EXPECT_THAT(client().post("/api/v1/plans/" + first + "/cancel", ""), IsProblem(412, "failed_precondition"));
    const std::string second = made();
    EXPECT_EQ(parsed(client().del("/api/v1/plans/" + second))["state"], "cancelled");
    const std::string third = made();
    ASSERT_EQ(client().post("/api/v1/plans/" + third + "/apply", "").status, 202);
    const auto asked = client().post("/api/v1/plans/" + third + "/cancel", "");
    EXPECT_EQ(asked.status, 202) << "its job is asked to stop";
    EXPECT_TRUE(parsed(asked)["cancel_requested"].get<bool>());
}

TEST_F(PlansTest, AChangeOfAnotherRevisionIsRefused) {
    start();
    const std::string id = made();
    const auto refused = client().post("/api/v1/plans/" + id + "/approve", "", {{"if-match", "\"99\""}});
    EXPECT_THAT(refused, IsProblem(412, "failed_precondition"));
    EXPECT_EQ(plan(id)["state"], "advised");
}

TEST_F(PlansTest, WhatCanNotBePlannedIsAProblem) {
    start();
    EXPECT_THAT(client().post("/api/v1/plans", R"({"budget_ms":0})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/plans", R"({"goal":"evacuate"})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/plans", R"({"goal":"level","hosts":["h9"]})"), IsProblem(404, "not_found"));
    EXPECT_THAT(client().post("/api/v1/plans", R"({"goal":"levle"})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1/plans/none"), IsProblem(404, "not_found"));
}

TEST_F(PlansTest, AViewerMayLookButNotPlan) {
    const std::string viewer = make_token("viewer", Right::viewer);
    start();
    const std::string id = made();
    EXPECT_EQ(client_with(viewer).get("/api/v1/plans/" + id).status, 200);
    EXPECT_THAT(client_with(viewer).post("/api/v1/plans", "{}"), IsProblem(403, "permission_denied"));
    EXPECT_THAT(client_with(viewer).post("/api/v1/plans/" + id + "/apply", ""), IsProblem(403, "permission_denied"));
}

TEST_F(PlansTest, TheSnapshotOfAnyMomentIsOneDocument) {
    start();
    const Timestamp before = clock->now();
    const auto seq = snapshot()->seq;
    clock->advance(std::chrono::hours(1));
    put(a_vm("web2").on("h2").build());
    const auto names = [&](const std::string& query) {
        const auto answer = client().get("/api/v1/snapshot" + query);
        EXPECT_EQ(answer.status, 200) << answer.body;
        const auto read = snapshot_from_json(parsed(answer));
        EXPECT_TRUE(read) << read.error().chain();
        return read ? read->vms.size() : 0U;
    };
    EXPECT_EQ(names(""), 2U);
    EXPECT_EQ(names("?at=" + to_string(before)), 1U);
    EXPECT_EQ(names("?at=" + std::to_string(seq)), 1U);
    EXPECT_THAT(client().get("/api/v1/snapshot?at=yesterday"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1/snapshot?at=2999-01-01T00:00:00.000Z"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1/snapshot?at=999999"), IsProblem(404, "not_found"));
    EXPECT_THAT(client().get("/api/v1/snapshot").body, testing::Not(HasSubstr("sha256")));
}

TEST_F(PlansTest, TheLoadIsWhatThePlannerIsTold) {
    start();
    const auto answer = client().get("/api/v1/load");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(parsed(answer)["vms"].is_object());
}

}  // namespace
}  // namespace ballast::api
