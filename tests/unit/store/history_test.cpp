// Replay, base snapshots and retention.
#include <gmock/gmock.h>

#include "daemon/store/prune.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ballast::test::a_host;
using ballast::test::a_vm;
using ::testing::HasSubstr;

class History : public StoreTest {
  protected:
    [[nodiscard]] std::int64_t count(const std::string& sql) {
        const auto number = std::make_shared<std::int64_t>(0);
        EXPECT_TRUE(raw([=](Connection& connection) { *number = connection.integer(sql); }));
        return *number;
    }
    /// A base is written behind the writers' backs; this waits for it.
    void wait_for_bases(std::int64_t number) {
        ASSERT_TRUE(ballast::testing::run_until(io_, [&] { return count("SELECT count(*) FROM bases") >= number; }));
    }
    void change_vm(int times) {
        for (int i = 0; i < times; ++i) {
            Vm vm = a_vm("web1").build();
            vm.state_reason = fmt::format("change {}", ++changes_);
            ASSERT_TRUE(put(vm));
        }
    }
    [[nodiscard]] Result<void> prune() { return ballast::testing::run(io_, store_->prune()); }
    [[nodiscard]] std::string reason_at(std::uint64_t seq) {
        const auto snapshot = at(seq);
        EXPECT_TRUE(snapshot) << snapshot.error().chain();
        const Vm* vm = snapshot ? (*snapshot)->vms.find(VmId("web1")) : nullptr;
        return vm != nullptr ? vm->state_reason : "no such VM";
    }
    int changes_ = 0;
};

TEST_F(History, RebuildsEveryMomentFromTheFirst) {
    open();
    change_vm(3);
    ASSERT_TRUE(write([](Transaction& transaction) {
        transaction.erase(VmId("web1"), {"vm.deleted", ""});
        return Result<void>();
    }));
    EXPECT_EQ(reason_at(0), "no such VM");
    EXPECT_EQ(reason_at(1), "change 1");
    EXPECT_EQ(reason_at(3), "change 3");
    EXPECT_EQ(reason_at(4), "no such VM");
    EXPECT_EQ((*at(2))->seq, 2U);
    EXPECT_EQ((*at(2))->cluster, now().cluster);
}

TEST_F(History, FindsTheLastEventOfAMoment) {
    open();
    const Timestamp begin = clock_->now();
    for (int i = 0; i < 5; ++i) {
        change_vm(2);
        clock_->advance(Milliseconds(1000));
    }
    const auto seq_at = [&](Timestamp time) { return ballast::testing::run(io_, store_->seq_at(time)).value(); };
    EXPECT_EQ(seq_at(begin - Milliseconds(1)), 0U);
    EXPECT_EQ(seq_at(begin), 2U);
    EXPECT_EQ(seq_at(begin + Milliseconds(999)), 2U);
    EXPECT_EQ(seq_at(begin + Milliseconds(1000)), 4U);
    EXPECT_EQ(seq_at(clock_->now()), 10U);
}

TEST_F(History, AClockThatIsSetBackStillGivesAMomentThatCanBeRebuilt) {
    open();
    change_vm(3);
    clock_->advance(-std::chrono::hours(2));
    change_vm(3);
    const auto seq = ballast::testing::run(io_, store_->seq_at(clock_->now())).value();
    EXPECT_LE(seq, 6U);
    EXPECT_TRUE(at(seq));
}

TEST_F(History, TextsAreKeptOverARestartWithoutAnEvent) {
    open();
    change_vm(1);
    const auto keep = [&](const std::string& key, const std::string& text) {
        return write([=](Transaction& transaction) -> Result<void> {
            transaction.keep(key, text);
            return {};
        });
    };
    ASSERT_TRUE(keep("load/a", "1"));
    ASSERT_TRUE(keep("load/b", "2"));
    ASSERT_TRUE(keep("load/a", "3"));
    ASSERT_TRUE(keep("load/b", ""));
    ASSERT_TRUE(keep("other", "4"));
    reopen();
    const std::map<std::string, std::string> wanted{{"a", "3"}};
    EXPECT_EQ(ballast::testing::run(io_, store_->kept("load/")).value(), wanted);
    EXPECT_EQ(now().seq, 1U);
}

TEST_F(History, PruningDropsFinishedPlansPastRetentionAndAllButTheLatest) {
    open();
    const auto put_plan = [&](std::string id, PlanStage stage, Timestamp made) {
        Plan plan;
        plan.id = PlanId(std::move(id));
        plan.goal = "level";
        plan.state = stage;
        plan.made = made;
        if (is_finished(stage)) plan.finished = made;
        return put(plan);
    };
    const Timestamp begin = clock_->now();
    ASSERT_TRUE(put_plan("old", PlanStage::applied, begin));
    ASSERT_TRUE(put_plan("waits", PlanStage::advised, begin));
    clock_->advance(std::chrono::hours(24 * 31));
    for (int i = 0; i <= most_plans; ++i)
        ASSERT_TRUE(put_plan(fmt::format("new{:04}", i), PlanStage::expired, clock_->now() + Milliseconds(i)));
    ASSERT_TRUE(prune());
    EXPECT_EQ(now().plans.find(PlanId("old")), nullptr);
    EXPECT_NE(now().plans.find(PlanId("waits")), nullptr) << "it still waits for a yes";
    EXPECT_EQ(now().plans.find(PlanId("new0000")), nullptr);
    EXPECT_NE(now().plans.find(PlanId("new0001")), nullptr);
    reopen();
    EXPECT_EQ(static_cast<std::int64_t>(now().plans.size()), most_plans + 1);
}

TEST_F(History, SaysWhenAMomentHasNotHappenedYet) {
    open();
    change_vm(2);
    const auto future = at(3);
    ASSERT_FALSE(future);
    EXPECT_EQ(future.error().code(), Code::not_found);
    EXPECT_THAT(future.error().message(), HasSubstr("the newest is 2"));
}

TEST_F(History, BaseSnapshotsGiveTheSameAnswerAsTheWholeLog) {
    options_.base_every = 5;
    open();
    ASSERT_TRUE(put(a_host("h1").build()));
    change_vm(9);
    wait_for_bases(1);
    ASSERT_TRUE(raw([](Connection& connection) { connection.exec("DELETE FROM events WHERE seq <= 5"); }));
    EXPECT_EQ(reason_at(5), "change 4");
    EXPECT_EQ(reason_at(10), "change 9");
    EXPECT_EQ(to_json_text(*(*at(10))->hosts.find(HostId("h1"))), to_json_text(*now().hosts.find(HostId("h1"))));
}

TEST_F(History, AnUnfinishedBaseIsDroppedAtTheNextOpening) {
    open();
    change_vm(1);
    ASSERT_TRUE(raw([](Connection& connection) {
        connection.exec("INSERT INTO base_rows VALUES (1, 'vm', 'ghost', '{\"id\":\"ghost\"}')");
    }));
    reopen();
    EXPECT_EQ(count("SELECT count(*) FROM base_rows"), 0);
}

TEST_F(History, PruningByAgeKeepsWhatTheKeptEventsNeed) {
    options_.base_every = 5;
    open();
    change_vm(5);
    wait_for_bases(1);
    change_vm(5);
    wait_for_bases(2);
    clock_->advance(std::chrono::hours(24 * 91));
    change_vm(2);
    ASSERT_TRUE(prune());
    EXPECT_EQ(count("SELECT min(seq) FROM events"), 11);
    EXPECT_EQ(count("SELECT count(*) FROM bases"), 1);
    EXPECT_EQ(count("SELECT count(*) FROM base_rows"), 1);
    EXPECT_EQ(reason_at(10), "change 10");
    EXPECT_EQ(reason_at(12), "change 12");
    const auto gone = at(7);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code(), Code::not_found);
    EXPECT_THAT(gone.error().message(), HasSubstr("past retention"));
    EXPECT_THAT(gone.error().message(), HasSubstr("rebuilt is 10"));
    change_vm(1);
    EXPECT_EQ(now().seq, 13U);
}

TEST_F(History, PruningBySizeKeepsAtLeastThatMany) {
    options_.base_every = 5;
    options_.retention.max_events = 8;
    open();
    for (int bases = 1; bases <= 4; ++bases) {
        change_vm(5);
        wait_for_bases(bases);
    }
    ASSERT_TRUE(prune());
    EXPECT_EQ(count("SELECT min(seq) FROM events"), 11);
    EXPECT_EQ(reason_at(20), "change 20");
}

TEST_F(History, PruningWithinRetentionDropsNothing) {
    options_.base_every = 5;
    open();
    change_vm(10);
    wait_for_bases(1);
    ASSERT_TRUE(prune());
    EXPECT_EQ(count("SELECT count(*) FROM events"), 10);
}

TEST_F(History, PruningDropsOldFinishedJobsAndAnswersButKeepsMigrations) {
    open();
    Job finished;
    finished.id = JobId("done");
    finished.state = JobState::succeeded;
    finished.finished = clock_->now();
    Job running = finished;
    running.id = JobId("running");
    running.state = JobState::running;
    Migration migration;
    migration.id = JobId("done");
    migration.phase = MigrationPhase::succeeded;
    migration.finished = clock_->now();
    ASSERT_TRUE(put(finished));
    ASSERT_TRUE(put(running));
    ASSERT_TRUE(put(migration));
    ASSERT_TRUE(write([](Transaction& transaction) {
        transaction.remember_answer("ann", "k1", {"abc", 200, "", ""});
        return Result<void>();
    }));
    clock_->advance(std::chrono::hours(24 * 31));
    ASSERT_TRUE(prune());
    EXPECT_EQ(now().jobs.find(JobId("done")), nullptr);
    EXPECT_NE(now().jobs.find(JobId("running")), nullptr);
    EXPECT_NE(now().migrations.find(JobId("done")), nullptr);
    EXPECT_EQ(count("SELECT count(*) FROM answers"), 0);
    EXPECT_EQ(events().back().kind, "job.pruned");
    reopen();
    EXPECT_EQ(now().jobs.size(), 1U);
}

TEST_F(History, PruningDropsMigrationsWithTheEventsAndAllButTheLatest) {
    open();
    const auto put_many = [this](std::string_view prefix, std::int64_t number, bool ended) {
        return write([=, time = clock_->now()](Transaction& transaction) -> Result<void> {
            for (std::int64_t i = 0; i < number; ++i) {
                Migration row;
                row.id = JobId(fmt::format("{}{:06}", prefix, i));
                row.phase = ended ? MigrationPhase::succeeded : MigrationPhase::push;
                row.started = time + Milliseconds(i);
                if (ended) row.finished = time + Milliseconds(i);
                transaction.put(std::move(row), {"test.put", "test"});
            }
            return {};
        });
    };
    ASSERT_TRUE(put_many("old", 3, true));
    ASSERT_TRUE(put_many("runs", 1, false));
    clock_->advance(std::chrono::hours(24 * 91));
    ASSERT_TRUE(put_many("new", most_migrations + 700, true));
    ASSERT_TRUE(prune());
    EXPECT_EQ(now().migrations.find(JobId("old000002")), nullptr);
    EXPECT_NE(now().migrations.find(JobId("runs000000")), nullptr) << "what runs is never dropped";
    EXPECT_EQ(now().migrations.find(JobId("new000699")), nullptr);
    EXPECT_NE(now().migrations.find(JobId("new000700")), nullptr);
    EXPECT_EQ(count("SELECT count(*) FROM migrations"), most_migrations + 1);
}

}  // namespace
}  // namespace ballast::store
