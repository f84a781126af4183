// What an operator or the engine does to a migration while it runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/migration/machine_events.h"

namespace ballast::migration {
namespace {

using testing::HasSubstr;

TEST(MachineWords, FinishesWithoutAnyDowntimeLimitAndRemembersWhoAskedForIt) {
    MigrationEvent finish = event(Kind::finish_requested);
    finish.actor = "ops";
    const auto step = next(a_migration(Phase::push), {.called = true}, finish);
    ASSERT_TRUE(step) << step.error().chain();
    EXPECT_EQ(downtime_limit_of(step->migration, step->memo), Milliseconds{2'000'000});
    ASSERT_EQ(step->migration.interventions.size(), 1U);
    EXPECT_EQ(step->migration.interventions[0].what, "finish_now");
    EXPECT_EQ(step->migration.interventions[0].actor, "ops");
    EXPECT_TRUE(next(step->migration, step->memo, event(Kind::finish_requested))->acts.empty());
}

TEST(MachineWords, RefusesToFinishWhatHasNotBegunHasSwitchedOrIsCalledOff) {
    const auto refused = [](Phase phase, const MigrationMemo& memo) {
        const auto step = next(a_migration(phase, MigrationMode::hybrid), memo, event(Kind::finish_requested));
        return step ? std::string() : step.error().message();
    };
    EXPECT_THAT(refused(Phase::preparing, {}), HasSubstr("mode stop_and_copy"));
    EXPECT_THAT(refused(Phase::pull, {.called = true, .may_have_switched = true}), HasSubstr("runs on h2"));
    EXPECT_THAT(refused(Phase::push, {.called = true, .cancel_requested = true}), HasSubstr("stays on h1"));
    EXPECT_THAT(refused(Phase::failed, {}), HasSubstr("has ended (failed)"));
}

TEST(MachineWords, FinishingKeepsTheModeFromSwitching) {
    const MigrationMemo memo{.called = true, .finishing = true};
    EXPECT_TRUE(next(a_migration(Phase::push, MigrationMode::hybrid), memo, round(1))->acts.empty());
    EXPECT_EQ(next(a_migration(Phase::push, MigrationMode::hybrid), memo, event(Kind::switch_requested)).error().code(),
              Code::failed_precondition);
    EXPECT_TRUE(next(a_migration(Phase::push, MigrationMode::hybrid), memo, steered(SteeringAct::abort))->acts.empty());
}

TEST(MachineWords, TakesNewLimitsIntoItsTermsAndItsRecord) {
    const auto step =
        next(a_migration(Phase::push), {.called = true, .downtime_limit = Milliseconds{250}}, tuned(half_a_second));
    ASSERT_TRUE(step) << step.error().chain();
    EXPECT_EQ(step->migration.terms.max_downtime, Milliseconds{500});
    EXPECT_EQ(downtime_limit_of(step->migration, step->memo), Milliseconds{500});
    EXPECT_EQ(
        step->migration.interventions.at(0),
        (MigrationIntervention{.at = Milliseconds{1'500}, .what = "set_downtime", .why = "500 ms", .actor = "ops"}));
}

TEST(MachineWords, RefusesLimitsThatAreNoneOrComeTooLate) {
    const auto refused = [](const Tuning& tuning, const MigrationMemo& memo) {
        return next(a_migration(Phase::push, MigrationMode::hybrid), memo, tuned(tuning)).error().code();
    };
    const MigrationMemo called{.called = true};
    EXPECT_EQ(refused({}, called), Code::invalid_argument);
    EXPECT_EQ(refused({.max_downtime = Milliseconds{0}, .bandwidth = {}, .post_copy_bandwidth = {}}, called),
              Code::invalid_argument);
    EXPECT_EQ(refused({.max_downtime = {}, .bandwidth = BytesPerSecond(0), .post_copy_bandwidth = {}}, called),
              Code::invalid_argument);
    EXPECT_EQ(refused(half_a_second, {.called = true, .may_have_switched = true}), Code::failed_precondition);
    EXPECT_EQ(refused(half_a_second, {.called = true, .finishing = true}), Code::failed_precondition);
}

TEST(MachineWords, EndsAsFailedWithTheEnginesReasonWhenSteeringAborted) {
    const auto aborted = next(a_migration(Phase::push), {.called = true}, steered(SteeringAct::abort));
    ASSERT_TRUE(aborted) << aborted.error().chain();
    EXPECT_EQ(aborted->memo.given_up, "no round leaves less");
    const auto again = next(aborted->migration, aborted->memo, steered(SteeringAct::abort));
    EXPECT_EQ(again->acts, Acts{Act::abort_job});  // the first one may have been lost
    EXPECT_EQ(again->migration.interventions.size(), 1U);
    auto verifying = aborted->migration;
    verifying.phase = Phase::verifying;
    const auto ended = next(verifying, aborted->memo, judged(OwnershipAct::keep_source));
    EXPECT_EQ(ended->migration.phase, Phase::failed);
    EXPECT_EQ(ended->migration.phase_reason, "no round leaves less");
    EXPECT_EQ(next(verifying, aborted->memo, judged(OwnershipAct::keep_target))->migration.phase, Phase::succeeded);
}

TEST(MachineWords, SteersOnlyWithinTheTerms) {
    const auto code = [](const Migration& row, const MigrationEvent& what) {
        const auto step = next(row, {.called = true}, what);
        return step ? std::optional<Code>() : step.error().code();
    };
    EXPECT_EQ(code(a_migration(Phase::push, MigrationMode::hybrid), steered(SteeringAct::switch_to_post_copy)),
              Code::invalid_argument);
    EXPECT_EQ(code(a_migration(Phase::push), steered(SteeringAct::raise_downtime, Milliseconds{301})),
              Code::invalid_argument);
    EXPECT_EQ(code(a_migration(Phase::push), event(Kind::steered)), Code::invalid_argument);
}

TEST(MachineWords, SwitchesAPushThatWasLeftToBallastWhereTheTermsAllowIt) {
    Migration row = a_migration(Phase::push);
    row.terms.post_copy = true;
    EXPECT_TRUE(can_switch(row));
    const auto step = next(row, {.called = true}, steered(SteeringAct::switch_to_post_copy));
    ASSERT_TRUE(step) << step.error().chain();
    EXPECT_EQ(step->acts, Acts{Act::start_post_copy});
    EXPECT_TRUE(step->memo.may_have_switched);
    row.requested = ModeChoice::pre_copy;  // asked for by name
    EXPECT_FALSE(can_switch(row));
    row.requested = ModeChoice::auto_;
    row.knobs.parallel = 2;
    EXPECT_FALSE(can_switch(row));
}

TEST(MachineWords, RaisesTheDowntimeLimitOfAPairWithASwitchCost) {
    const Limits limits{.switch_cost = Milliseconds{100}};
    const auto step = next(a_migration(Phase::push), {.called = true},
                           steered(SteeringAct::raise_downtime, Milliseconds{250}), limits);
    ASSERT_TRUE(step) << step.error().chain();
    EXPECT_EQ(step->acts, Acts{Act::set_downtime});
    EXPECT_EQ(downtime_limit_of(step->migration, step->memo, limits), Milliseconds{250});
}

TEST(MachineWords, GivesAWordAgainThatMayHaveBeenLostWithTheDaemon) {
    const auto after = [](const MigrationMemo& memo) {
        return next(a_migration(Phase::verifying), memo, judged(OwnershipAct::wait))->acts;
    };
    EXPECT_EQ(after({.called = true, .cancel_requested = true}), (Acts{Act::watch_job, Act::abort_job}));
    EXPECT_EQ(after({.called = true, .given_up = "why"}), (Acts{Act::watch_job, Act::abort_job}));
    EXPECT_EQ(after({.called = true, .finishing = true}), (Acts{Act::watch_job, Act::set_downtime}));
    const MigrationMemo switched{.called = true, .may_have_switched = true, .cancel_requested = true};
    EXPECT_EQ(after(switched), Acts{Act::watch_job}) << "never in a stream that was not opened for it";
    const Migration hybrid = a_migration(Phase::verifying, MigrationMode::hybrid);
    EXPECT_EQ(next(hybrid, switched, judged(OwnershipAct::wait))->acts, (Acts{Act::watch_job, Act::start_post_copy}));
}

TEST(MachineWords, SwitchesAgainWhereTheSourceStillPushesAfterASwitchThatWasPersisted) {
    const MigrationMemo memo{.called = true, .may_have_switched = true};
    const auto after = [&](Owner owner) {
        return next(a_migration(Phase::verifying, MigrationMode::hybrid), memo, judged(OwnershipAct::wait, owner))
            ->acts;
    };
    EXPECT_EQ(after(Owner::source), (Acts{Act::watch_job, Act::start_post_copy}));
    EXPECT_EQ(after(Owner::target), Acts{Act::watch_job});
}

TEST(MachineWords, WaitsLongerBeforeEachFurtherRecovery) {
    const Limits limits{.recovery_pause = Milliseconds{1'000}, .recovery_pause_max = Milliseconds{5'000}};
    std::vector<std::int64_t> waits;
    MigrationMemo memo{.called = true, .may_have_switched = true};
    Migration row = a_migration(Phase::pull_paused, MigrationMode::hybrid);
    for (int attempt = 0; attempt < 5; ++attempt) {
        const auto tried = next(row, memo, judged(OwnershipAct::post_copy_recover), limits);
        ASSERT_EQ(tried->acts, (Acts{Act::recover_post_copy, Act::watch_job}));
        EXPECT_FALSE(tried->due_in);
        const auto waiting = next(tried->migration, tried->memo, judged(OwnershipAct::post_copy_recover), limits);
        EXPECT_EQ(waiting->migration.phase, Phase::pull_paused);
        EXPECT_TRUE(waiting->acts.empty());
        ASSERT_TRUE(waiting->due_in);
        waits.push_back(waiting->due_in->count());
        const auto due = next(waiting->migration, waiting->memo, event(Kind::recovery_due), limits);
        EXPECT_EQ(due->acts, Acts{Act::ask_both_sides});
        row = due->migration;
        memo = due->memo;
    }
    EXPECT_THAT(waits, testing::ElementsAre(1'000, 2'000, 4'000, 5'000, 5'000));
}

TEST(MachineWords, ResumesAtOnceAndAnewWhenAnOperatorAsks) {
    const MigrationMemo memo{.called = true, .may_have_switched = true, .recoveries = 20};
    const auto asked =
        next(a_migration(Phase::pull_paused, MigrationMode::hybrid), memo, event(Kind::recover_requested));
    EXPECT_EQ(asked->memo.recoveries, 0);
    const auto tried = next(asked->migration, asked->memo, judged(OwnershipAct::post_copy_recover));
    EXPECT_EQ(tried->acts, (Acts{Act::recover_post_copy, Act::watch_job}));
}

}  // namespace
}  // namespace ballast::migration
