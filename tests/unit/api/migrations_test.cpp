// Migrations over HTTP: forecast, dry run, an operator's words, the questions about them, evacuation.
#include "daemon/jobs/migrate/desk.h"
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::HasSubstr;
using testing::Not;

class MigrationsTest : public ApiTest {
  public:
    MigrationsTest() {
        jobs::Services work;
        work.executor = loop.get_executor();
        work.store = services.store;
        work.hosts = services.hosts;
        work.clock = services.clock;
        work.ids = services.ids;
        work.progress = services.progress;
        services.migrations = std::make_shared<jobs::MigrationDesk>(work, jobs::StatsNow());
        put(a_host("h1").build());
        put(a_host("h2").build());
        put(a_vm("web1").on("h1").running().build());
    }

    template <class Row>
    void put(Row row) {
        write([row](store::Transaction& transaction) -> Result<void> {
            transaction.put(row, {"test.put", "test"});
            return {};
        });
    }

    /// The job and its migration, as they stand in the middle of it.
    void put_migration(MigrationPhase phase) {
        Job job;
        job.id = JobId("J1");
        job.kind = "vm.migrate";
        job.vm = VmId("web1");
        job.subject = "web1";
        job.state = JobState::running;
        put(job);
        put(row_of(phase));
    }

    static Migration row_of(MigrationPhase phase) {
        Migration row;
        row.id = JobId("J1");
        row.vm = VmId("web1");
        row.from = HostId("h1");
        row.to = HostId("h2");
        row.phase = phase;
        return row;
    }
};

TEST_F(MigrationsTest, ADryRunAnswersThePlaceAndWhatEachModeWouldCost) {
    start();
    const auto answer = client().post("/api/v1/vms/web1/migrate?dry_run=true", R"({"to":"h2"})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    const Json plan = parsed(answer);
    EXPECT_EQ(plan["to"], "h2");
    EXPECT_TRUE(plan["decision"].contains("hosts"));
    ASSERT_TRUE(plan["forecast"].is_object()) << plan["no_forecast"];
    ASSERT_EQ(plan["forecast"]["modes"].size(), 4U);
    EXPECT_EQ(plan["forecast"]["input"]["curve"], nullptr) << "nobody has measured it";
    EXPECT_TRUE(plan["forecast"]["modes"][1]["total"].contains("likely_ms"));
    EXPECT_EQ(snapshot()->jobs.size(), 0U);
}

TEST_F(MigrationsTest, ADryRunOfAVmThatIsOffSaysWhyThereIsNoForecast) {
    put(a_vm("web2").on("h1").build());
    start();
    const Json plan = parsed(client().post("/api/v1/vms/web2/migrate?dry_run=true", R"({"to":"h2"})"));
    EXPECT_EQ(plan["forecast"], nullptr);
    EXPECT_THAT(plan["no_forecast"].get<std::string>(), HasSubstr("does not run"));
}

TEST_F(MigrationsTest, ADryRunJudgesTheModeAndTheKnobsThatAreAskedFor) {
    put(a_vm("web2").on("h1").build());
    put(test::a_pair("h1", "h2").checked(clock->now()).shares("data").build());
    put(test::a_pool("h1", "data"));
    put(test::a_pool("h2", "data"));
    DiskSpec disk;
    disk.target = "vda";
    disk.pool = "data";
    disk.path = "/pools/data/web3.qcow2";
    put(a_vm("web3").on("h1").running().disk(disk).build());
    start();
    const auto refusals = [this](const std::string& vm, const std::string& body) {
        const auto answer = client().post("/api/v1/vms/" + vm + "/migrate?dry_run=true", body);
        EXPECT_EQ(answer.status, 200) << answer.body;
        std::string refused;
        for (const auto& check : parsed(answer)["preflight"])
            if (check["verdict"] == "refused") refused += check["detail"].get<std::string>() + ". ";
        return refused;
    };
    EXPECT_EQ(refusals("web2", R"({"to":"h2","mode":"offline"})"), "") << "what is off moves offline";
    EXPECT_THAT(refusals("web1", R"({"to":"h2","mode":"offline"})"), HasSubstr("for a VM that does not run"));
    EXPECT_EQ(refusals("web3", R"({"to":"h2"})"), "");
    EXPECT_THAT(refusals("web3", R"({"to":"h2","knobs":{"copy_disks":"full"}})"), HasSubstr("over itself"));
}

TEST_F(MigrationsTest, ADryRunOfAnAdoptedVmTakesItsDiskWhereItLies) {
    put(test::a_pair("h1", "h2").checked(clock->now()).shares("data").build());
    put(test::a_pool("h1", "data"));
    put(test::a_pool("h2", "data"));
    DiskSpec disk;
    disk.target = "vda";
    disk.path = "/pools/data/web5.qcow2";  // in no pool that its spec names, and no host has the default one
    put(a_vm("web5").on("h1").running().disk(disk).build());
    start();
    const auto answer = client().post("/api/v1/vms/web5/migrate?dry_run=true", R"({"to":"h2"})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["decision"]["chosen"], "h2") << answer.body;
}

TEST_F(MigrationsTest, AForecastOfOneHostKeepsTheTermsOfItsQuery) {
    start();
    const auto answer = client().get(
        "/api/v1/vms/web1/migration-forecast?to=h2&mode=pre_copy&max_downtime_ms=50&post_copy=false"
        "&bandwidth_bytes_per_second=1000000");
    ASSERT_EQ(answer.status, 200) << answer.body;
    const Json forecast = parsed(answer)["items"][0]["forecast"];
    EXPECT_EQ(forecast["requested"], "pre_copy");
    EXPECT_EQ(forecast["input"]["terms"]["max_downtime_ms"], 50);
    EXPECT_EQ(forecast["input"]["terms"]["bandwidth_bytes_per_second"], 1'000'000);
    EXPECT_EQ(forecast["input"]["terms"]["post_copy"], false);
}

TEST_F(MigrationsTest, ThePolicyOfALabelCountsBeforeTheDefaults) {
    Vm vm = a_vm("db1").on("h1").running().build();
    vm.spec.labels["tier"] = "database";
    put(vm);
    services.migration_policy.defaults.max_downtime = Milliseconds(700);
    services.migration_policy.labels.resize(1);
    services.migration_policy.labels[0].key = "tier";
    services.migration_policy.labels[0].value = "database";
    services.migration_policy.labels[0].policy.max_downtime = Milliseconds(40);
    start();
    const auto limit = [this](const std::string& name) {
        const auto answer = client().get("/api/v1/vms/" + name + "/migration-forecast?to=h2");
        EXPECT_EQ(answer.status, 200) << answer.body;
        return parsed(answer)["items"][0]["forecast"]["input"]["terms"]["max_downtime_ms"];
    };
    EXPECT_EQ(limit("db1"), 40);
    EXPECT_EQ(limit("web1"), 700);
}

TEST_F(MigrationsTest, TheMigrationPolicyOfAVmIsPatchedAndChecked) {
    start();
    const auto answer =
        client().patch("/api/v1/vms/web1", R"({"spec":{"migration":{"max_downtime_ms":70,"post_copy":true}}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(snapshot()->vms.find(VmId("web1"))->spec.migration.max_downtime, Milliseconds(70));
    EXPECT_THAT(client().patch("/api/v1/vms/web1", R"({"spec":{"migration":{"max_downtime_ms":0}}})"),
                IsProblem(400, "invalid_argument"));
    EXPECT_EQ(snapshot()->vms.find(VmId("web1"))->spec.migration.max_downtime, Milliseconds(70));
}

TEST_F(MigrationsTest, WithoutATargetEveryHostThatFitsHasItsForecast) {
    put(a_host("h3").build());
    put(a_host("h4").observed().build());
    put(a_host("h5").memory(mebibytes(64)).build());
    put(a_host("h6").build());  // its pair was never checked
    for (const char* to : {"h2", "h3", "h4", "h5"}) put(test::a_pair("h1", to).checked(clock->now()).build());
    start();
    const auto answer = client().get("/api/v1/vms/web1/migration-forecast");
    ASSERT_EQ(answer.status, 200) << answer.body;
    std::vector<std::string> names;
    for (const auto& item : parsed(answer)["items"]) {
        names.push_back(item["name"]);
        EXPECT_EQ(item["forecast"]["modes"].size(), 4U);
    }
    EXPECT_THAT(names, testing::UnorderedElementsAre("h2", "h3"));
}

TEST_F(MigrationsTest, WhatCanNotBeAskedIsRefusedBeforeAnyJob) {
    put(a_host("h3").observed().build());
    start();
    struct Case {
        const char* body;
        int status;
        const char* code;
        const char* says;
    };
    const std::vector<Case> cases{
        {R"({"to":"h9"})", 404, "not_found", "h9"},
        {R"({"to":"h3"})", 412, "failed_precondition", "ballast host manage h3"},
        {R"({"deadline":"2000-01-01T00:00:00.000Z"})", 400, "invalid_argument", "deadline"},
        {R"({"policy":{"max_downtime_ms":0}})", 400, "invalid_argument", "max_downtime_ms"},
        {R"({"policy":{"bandwidth_bytes_per_second":0}})", 400, "invalid_argument", "bandwidth"},
        {R"({"policy":{"post_copy_bandwidth_bytes_per_second":0}})", 400, "invalid_argument", "post_copy_bandwidth"},
        {R"({"mode":"post_copy","policy":{"post_copy":false}})", 412, "failed_precondition", "post-copy"},
        {R"({"mode":"post_copy","knobs":{"parallel":4}})", 400, "invalid_argument", "parallel"},
        {R"({"mode":"teleport"})", 400, "invalid_argument", "mode"},
        {R"({"knobs":{"copy_disks":"full"}})", 400, "invalid_argument", "name it in `to`"},
    };
    for (const auto& one : cases)
        for (const char* query : {"", "?dry_run=true"}) {
            const auto answer = client().post(std::string("/api/v1/vms/web1/migrate") + query, one.body);
            EXPECT_THAT(answer, IsProblem(one.status, one.code)) << one.body << query;
            EXPECT_THAT(answer.body, HasSubstr(one.says)) << one.body << query;
        }
    EXPECT_EQ(snapshot()->jobs.size(), 0U);
}

TEST_F(MigrationsTest, AnOperatorsWordNeedsAMigrationThatRuns) {
    start();
    for (const char* verb : {"finish", "switch", "resume"})
        EXPECT_THAT(client().post(fmt::format("/api/v1/migrations/J9/{}", verb), ""), IsProblem(404, "not_found"));
    put_migration(MigrationPhase::succeeded);
    for (const char* verb : {"finish", "switch", "resume"}) {
        const auto answer = client().post(fmt::format("/api/v1/migrations/J1/{}", verb), "");
        EXPECT_THAT(answer, IsProblem(412, "failed_precondition"));
        EXPECT_THAT(answer.body, HasSubstr("has ended already"));
    }
}

TEST_F(MigrationsTest, AWordForAMigrationOfAFormerDaemonThatIsNotTakenUpYetIsRefused) {
    put_migration(MigrationPhase::push);
    start();
    EXPECT_THAT(client().post("/api/v1/migrations/J1/finish", ""), IsProblem(412, "failed_precondition"));
}

TEST_F(MigrationsTest, TuningNeedsValuesThatCanBe) {
    put_migration(MigrationPhase::push);
    start();
    for (const char* body : {"{}", R"({"max_downtime_ms":0})", R"({"bandwidth_bytes_per_second":0})",
                             R"({"post_copy_bandwidth_bytes_per_second":-1})", R"({"downtime":1})"})
        EXPECT_THAT(client().post("/api/v1/migrations/J1/tune", body), IsProblem(400, "invalid_argument")) << body;
}

TEST_F(MigrationsTest, AMigrationThatHasSwitchedIsNotCancelled) {
    put_migration(MigrationPhase::pull);
    start();
    const auto pulling = client().post("/api/v1/jobs/J1/cancel", "");
    EXPECT_THAT(pulling, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(pulling.body, HasSubstr("runs on h2 already"));
    put(row_of(MigrationPhase::pull_paused));
    EXPECT_THAT(client().post("/api/v1/jobs/J1/cancel", "").body, HasSubstr("ballast migration resume J1"));
    put(row_of(MigrationPhase::push));
    EXPECT_EQ(client().post("/api/v1/jobs/J1/cancel", "").status, 202);
}

TEST_F(MigrationsTest, TheQuestionsAboutMigrationsHaveAnswers) {
    start();
    const Json queue = parsed(client().get("/api/v1/migrations/queue"));
    EXPECT_EQ(queue["items"].size(), 0U);
    EXPECT_EQ(queue["running"], 0);
    EXPECT_EQ(parsed(client().get("/api/v1/migrations/accuracy"))["all"]["migrations"], 0);
    bool multifd_with_post_copy = true;
    for (const auto& row : parsed(client().get("/api/v1/migrations/compatibility"))["items"])
        if (row["mode"] == "post_copy" && row["knob"] == "parallel" && row["with"] == "") {
            multifd_with_post_copy = row["supported"];
            EXPECT_NE(row["reason"], "");
        }
    EXPECT_FALSE(multifd_with_post_copy);
}

TEST_F(MigrationsTest, ADaemonWithoutADeskSaysSo) {
    services.migrations->stop();
    auto desk = std::exchange(services.migrations, nullptr);
    start();
    EXPECT_THAT(client().get("/api/v1/migrations/queue"), IsProblem(503, "unavailable"));
    EXPECT_THAT(client().get("/api/v1/vms/web1/migration-forecast?to=h2"), IsProblem(503, "unavailable"));
    EXPECT_THAT(client().get("/metrics").body, Not(HasSubstr("ballast_migration_queue_length")));
    services.migrations = std::move(desk);
}

TEST_F(MigrationsTest, FinishedMigrationsAreCountedOnceInHistogramsByModeAndResult) {
    Migration row = row_of(MigrationPhase::succeeded);
    row.total = Milliseconds(1'600);
    row.downtime = Milliseconds(88);
    row.sent = mebibytes(200);
    row.rounds.resize(3);
    row.finished = clock->now();
    put(row);
    start();
    for (int scrape = 0; scrape < 2; ++scrape) {
        const std::string text = client().get("/metrics").body;
        const std::string labels = R"(mode="pre_copy",result="succeeded")";
        for (const std::string& line : {"ballast_migration_duration_seconds_bucket{" + labels + ",le=\"1\"} 0\n",
                                        "ballast_migration_duration_seconds_bucket{" + labels + ",le=\"2.5\"} 1\n",
                                        "ballast_migration_duration_seconds_sum{" + labels + "} 1.6\n",
                                        "ballast_migration_downtime_seconds_bucket{" + labels + ",le=\"0.1\"} 1\n",
                                        "ballast_migration_bytes_bucket{" + labels + ",le=\"67108864\"} 0\n",
                                        "ballast_migration_bytes_count{" + labels + "} 1\n",
                                        "ballast_migration_rounds_bucket{" + labels + ",le=\"3\"} 1\n",
                                        std::string("ballast_migration_queue_length 0\n")})
            EXPECT_THAT(text, HasSubstr(line));
    }
}

TEST_F(MigrationsTest, AnEvacuationIsAJobOfItsHost) {
    start();
    const auto answer = client().post("/api/v1/hosts/h1/evacuate", R"({"maintenance":true,"priority":5})");
    ASSERT_EQ(answer.status, 202) << answer.body;
    const Json job = parsed(answer);
    EXPECT_EQ(job["kind"], "host.evacuate");
    EXPECT_EQ(job["host"], "h1");
    EXPECT_EQ(job["subject"], "h1");
    EXPECT_EQ(job["params"]["maintenance"], true);
    const auto again = client().post("/api/v1/hosts/h1/evacuate", "");
    EXPECT_THAT(again, IsProblem(409, "conflict"));
    EXPECT_THAT(again.body, HasSubstr(job["id"].get<std::string>()));
}

TEST_F(MigrationsTest, AnEvacuationThatCanNotBeIsRefused) {
    put(a_host("h3").observed().build());
    start();
    EXPECT_THAT(client().post("/api/v1/hosts/h9/evacuate", ""), IsProblem(404, "not_found"));
    EXPECT_THAT(client().post("/api/v1/hosts/h3/evacuate", ""), IsProblem(412, "failed_precondition"));
    EXPECT_THAT(client().post("/api/v1/hosts/h1/evacuate", R"({"priority":101})"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/hosts/h1/evacuate", R"({"host":"h2"})"), IsProblem(400, "invalid_argument"));
    EXPECT_EQ(snapshot()->jobs.size(), 0U);
}

}  // namespace
}  // namespace ballast::api
