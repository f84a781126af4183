// Each path of a migration is one row: phase, memo, event; the phase and acts that follow.
#include "migration/machine.h"

#include <ostream>

#include <boost/describe/enum_to_string.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/unit/migration/machine_events.h"

namespace ballast::migration {
namespace {

using testing::HasSubstr;

struct Row {
    const char* name;
    Phase phase;
    MigrationMode mode;
    MigrationEvent event;
    Phase next;
    Acts acts;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class MachineTable : public testing::TestWithParam<Row> {};

TEST_P(MachineTable, GoesTo) {
    const Row& row = GetParam();
    const auto step = next(a_migration(row.phase, row.mode), {.called = true}, row.event);
    ASSERT_TRUE(step) << step.error().chain();
    EXPECT_EQ(boost::describe::enum_to_string(step->migration.phase, ""),
              boost::describe::enum_to_string(row.next, ""));
    EXPECT_EQ(step->acts, row.acts);
}

constexpr auto pre = MigrationMode::pre_copy;
constexpr auto post = MigrationMode::post_copy;
constexpr auto hybrid = MigrationMode::hybrid;
constexpr auto stop = MigrationMode::stop_and_copy;
const Acts verify{Act::ask_both_sides};

INSTANTIATE_TEST_SUITE_P(
    TheWayThere, MachineTable,
    testing::Values(
        Row{"Claimed", Phase::claimed, pre, event(Kind::begin), Phase::preparing, {Act::check_pair}},
        Row{"Passed",
            Phase::preparing,
            pre,
            event(Kind::preflight_passed),
            Phase::setup,
            {Act::call_migrate, Act::watch_job}},
        Row{"Refused", Phase::preparing, pre, event(Kind::preflight_refused), Phase::failed, {Act::release_claim}},
        Row{"SetUp", Phase::setup, pre, event(Kind::job_setup), Phase::setup, {}},
        Row{"Pushes", Phase::setup, pre, event(Kind::job_active), Phase::push, {}},
        Row{"StopAndCopyNeverPushes", Phase::setup, stop, event(Kind::job_active), Phase::stop_and_copy, {}},
        Row{"PostCopySwitchesWithTheFirstBytes",
            Phase::setup,
            post,
            event(Kind::job_active),
            Phase::push,
            {Act::start_post_copy}},
        Row{"HybridWaitsForItsRounds", Phase::setup, hybrid, event(Kind::job_active), Phase::push, {}},
        Row{"HybridSwitchesAfterThem", Phase::push, hybrid, round(1), Phase::push, {Act::start_post_copy}},
        Row{"PreCopyNeverSwitches", Phase::push, pre, round(9), Phase::push, {}},
        Row{"LastCopy", Phase::push, pre, event(Kind::source_paused), Phase::stop_and_copy, {}},
        Row{"Switched", Phase::push, hybrid, event(Kind::switched), Phase::pull, {}},
        Row{"PullStalls", Phase::pull, hybrid, event(Kind::stalled), Phase::pull, {Act::pause_post_copy}},
        Row{"PullBreaks", Phase::pull, hybrid, event(Kind::post_copy_failed), Phase::pull_paused, verify},
        Row{"PullIsResumed", Phase::pull_paused, hybrid, event(Kind::recover_requested), Phase::verifying, verify},
        Row{"OperatorSwitches",
            Phase::push,
            hybrid,
            event(Kind::switch_requested),
            Phase::push,
            {Act::start_post_copy}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    HintsOnlyLeadToVerifying, MachineTable,
    testing::Values(Row{"CallReturnedInSetup", Phase::setup, pre, event(Kind::call_returned), Phase::verifying, verify},
                    Row{"CallReturnedInPush", Phase::push, pre, event(Kind::call_returned), Phase::verifying, verify},
                    Row{"CallReturnedInPull", Phase::pull, hybrid, event(Kind::call_returned), Phase::verifying,
                        verify},
                    Row{"JobLost", Phase::push, pre, event(Kind::job_lost), Phase::verifying, verify},
                    Row{"SourceGone", Phase::stop_and_copy, pre, event(Kind::source_gone), Phase::verifying, verify},
                    Row{"TargetRuns", Phase::stop_and_copy, pre, event(Kind::target_running), Phase::verifying, verify},
                    Row{"OnceMore", Phase::verifying, pre, event(Kind::call_returned), Phase::verifying, verify},
                    Row{"InFinishing", Phase::finishing, pre, event(Kind::source_gone), Phase::finishing, verify},
                    Row{"LateAfterTheEnd", Phase::succeeded, pre, event(Kind::call_returned), Phase::succeeded, {}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Verdicts, MachineTable,
    testing::Values(Row{"Wait", Phase::verifying, pre, judged(OwnershipAct::wait), Phase::push, {Act::watch_job}},
                    Row{"WaitInPull",
                        Phase::verifying,
                        hybrid,
                        judged(OwnershipAct::wait, Owner::target),
                        Phase::pull,
                        {Act::watch_job}},
                    Row{"AskAgain", Phase::verifying, pre, judged(OwnershipAct::ask_again), Phase::verifying, verify},
                    Row{"Conflict",
                        Phase::verifying,
                        pre,
                        judged(OwnershipAct::conflict),
                        Phase::verifying,
                        {Act::alert_operator, Act::ask_both_sides}},
                    Row{"KeepSource",
                        Phase::verifying,
                        pre,
                        judged(OwnershipAct::keep_source),
                        Phase::failed,
                        {Act::release_claim}},
                    Row{"Adopt",
                        Phase::verifying,
                        pre,
                        judged(OwnershipAct::adopt_target),
                        Phase::finishing,
                        {Act::adopt_target, Act::ask_both_sides}},
                    Row{"Resume",
                        Phase::verifying,
                        pre,
                        judged(OwnershipAct::resume_source),
                        Phase::verifying,
                        {Act::resume_source, Act::ask_both_sides}},
                    Row{"EndTarget",
                        Phase::verifying,
                        pre,
                        judged(OwnershipAct::end_target_copy),
                        Phase::verifying,
                        {Act::end_target_copy, Act::ask_both_sides}},
                    Row{"EndSource",
                        Phase::finishing,
                        pre,
                        judged(OwnershipAct::end_source_copy),
                        Phase::finishing,
                        {Act::end_source_copy, Act::ask_both_sides}},
                    Row{"Undefine",
                        Phase::finishing,
                        pre,
                        judged(OwnershipAct::undefine_source),
                        Phase::finishing,
                        {Act::undefine_source, Act::ask_both_sides}},
                    Row{"Recover",
                        Phase::pull_paused,
                        hybrid,
                        judged(OwnershipAct::post_copy_recover),
                        Phase::pull,
                        {Act::recover_post_copy, Act::watch_job}},
                    Row{"Lost",
                        Phase::verifying,
                        hybrid,
                        judged(OwnershipAct::restart_from_disk),
                        Phase::failed,
                        {Act::alert_operator, Act::restart_from_disk, Act::release_claim}},
                    Row{"KeepTarget",
                        Phase::finishing,
                        pre,
                        judged(OwnershipAct::keep_target),
                        Phase::succeeded,
                        {Act::record_result, Act::release_claim}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    AfterARestart, MachineTable,
    testing::Values(
        Row{"Claimed", Phase::claimed, pre, event(Kind::restarted), Phase::preparing, {Act::check_pair}},
        Row{"Preparing", Phase::preparing, pre, event(Kind::restarted), Phase::preparing, {Act::check_pair}},
        Row{"Setup", Phase::setup, pre, event(Kind::restarted), Phase::verifying, verify},
        Row{"Push", Phase::push, pre, event(Kind::restarted), Phase::verifying, verify},
        Row{"StopAndCopy", Phase::stop_and_copy, pre, event(Kind::restarted), Phase::verifying, verify},
        Row{"Pull", Phase::pull, hybrid, event(Kind::restarted), Phase::verifying, verify},
        Row{"PullPaused", Phase::pull_paused, hybrid, event(Kind::restarted), Phase::verifying, verify},
        Row{"Verifying", Phase::verifying, pre, event(Kind::restarted), Phase::verifying, verify},
        Row{"Finishing", Phase::finishing, pre, event(Kind::restarted), Phase::finishing, verify},
        Row{"Ended", Phase::failed, pre, event(Kind::restarted), Phase::failed, {}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Cancel, MachineTable,
    testing::Values(
        Row{"Claimed", Phase::claimed, pre, event(Kind::cancel_requested), Phase::cancelled, {Act::release_claim}},
        Row{"Preparing", Phase::preparing, pre, event(Kind::cancel_requested), Phase::cancelled, {Act::release_claim}},
        Row{"Setup", Phase::setup, pre, event(Kind::cancel_requested), Phase::setup, {Act::abort_job}},
        Row{"Push", Phase::push, pre, event(Kind::cancel_requested), Phase::push, {Act::abort_job}},
        Row{"StopAndCopy",
            Phase::stop_and_copy,
            pre,
            event(Kind::cancel_requested),
            Phase::stop_and_copy,
            {Act::abort_job}},
        Row{"Verifying", Phase::verifying, pre, event(Kind::cancel_requested), Phase::verifying, verify}),
    [](const auto& row) { return row.param.name; });

// An operator's word and the engine's own acts while it runs.

INSTANTIATE_TEST_SUITE_P(
    FinishNow, MachineTable,
    testing::Values(
        Row{"Setup", Phase::setup, pre, event(Kind::finish_requested), Phase::setup, {Act::set_downtime}},
        Row{"Push", Phase::push, hybrid, event(Kind::finish_requested), Phase::push, {Act::set_downtime}},
        Row{"StopAndCopy",
            Phase::stop_and_copy,
            pre,
            event(Kind::finish_requested),
            Phase::stop_and_copy,
            {Act::set_downtime}},
        Row{"Verifying", Phase::verifying, pre, event(Kind::finish_requested), Phase::verifying, {Act::set_downtime}},
        Row{"Finishing", Phase::finishing, pre, event(Kind::finish_requested), Phase::finishing, {}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Tuned, MachineTable,
    testing::Values(Row{"BeforeTheCall", Phase::preparing, pre, tuned(half_a_second), Phase::preparing, {}},
                    Row{"DowntimeInPush", Phase::push, pre, tuned(half_a_second), Phase::push, {Act::set_downtime}},
                    Row{"BandwidthsInPush",
                        Phase::push,
                        hybrid,
                        tuned(both_bandwidths),
                        Phase::push,
                        {Act::set_bandwidth, Act::set_post_copy_bandwidth}},
                    Row{"NoPostCopyBandwidthWithoutPostCopy",
                        Phase::push,
                        pre,
                        tuned(both_bandwidths),
                        Phase::push,
                        {Act::set_bandwidth}},
                    Row{"BandwidthsInPull",
                        Phase::pull,
                        hybrid,
                        tuned(both_bandwidths),
                        Phase::pull,
                        {Act::set_bandwidth, Act::set_post_copy_bandwidth}},
                    Row{"InFinishing", Phase::finishing, pre, tuned(half_a_second), Phase::finishing, {}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Steered, MachineTable,
    testing::Values(
        Row{"Nothing", Phase::push, pre, steered(SteeringAct::none), Phase::push, {}},
        Row{"Aborts", Phase::push, pre, steered(SteeringAct::abort), Phase::push, {Act::abort_job}},
        Row{"LessThanTheLimitInForce",
            Phase::push,
            pre,
            steered(SteeringAct::raise_downtime, Milliseconds{200}),
            Phase::push,
            {}},
        Row{"LateInSetup", Phase::setup, pre, steered(SteeringAct::abort), Phase::setup, {}},
        Row{"LateInStopAndCopy", Phase::stop_and_copy, pre, steered(SteeringAct::abort), Phase::stop_and_copy, {}},
        Row{"LateInPull", Phase::pull, hybrid, steered(SteeringAct::abort), Phase::pull, {}},
        Row{"LateInVerifying", Phase::verifying, pre, steered(SteeringAct::abort), Phase::verifying, {}},
        Row{"LateAfterTheEnd", Phase::failed, pre, steered(SteeringAct::abort), Phase::failed, {}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    RecoveryDue, MachineTable,
    testing::Values(Row{"Paused", Phase::pull_paused, hybrid, event(Kind::recovery_due), Phase::verifying, verify},
                    Row{"LateInPull", Phase::pull, hybrid, event(Kind::recovery_due), Phase::pull, {}},
                    Row{"LateInVerifying", Phase::verifying, hybrid, event(Kind::recovery_due), Phase::verifying, {}},
                    Row{"LateAfterTheEnd", Phase::succeeded, hybrid, event(Kind::recovery_due), Phase::succeeded, {}}),
    [](const auto& row) { return row.param.name; });

TEST(Machine, CallsOnlyAfterTheIntentIsInTheMemo) {
    const auto step = next(a_migration(Phase::preparing), {}, event(Kind::preflight_passed));
    EXPECT_TRUE(step->memo.called);
    const auto switching = next(a_migration(Phase::setup, post), step->memo, event(Kind::job_active));
    EXPECT_TRUE(switching->memo.may_have_switched);
}

TEST(Machine, RemembersAVmThatWasPausedAndNeverSwitchesIt) {
    MigrationEvent passed = event(Kind::preflight_passed);
    passed.paused = true;
    Migration waiting = a_migration(Phase::preparing);
    waiting.terms.post_copy = true;
    const auto step = next(waiting, {}, passed);
    EXPECT_TRUE(step->memo.was_paused);
    EXPECT_TRUE(step->migration.paused);
    EXPECT_TRUE(journal_of(step->memo, 1, true).was_paused);
    Migration pushing = step->migration;
    pushing.phase = Phase::push;
    EXPECT_FALSE(can_switch(pushing));
    EXPECT_EQ(next(pushing, step->memo, event(Kind::switch_requested)).error().code(), Code::failed_precondition);
}

TEST(Machine, AsksForPostCopyOnlyOnce) {
    const auto again = next(a_migration(Phase::push, hybrid), {.called = true, .may_have_switched = true}, round(2));
    EXPECT_TRUE(again->acts.empty());
}

TEST(Machine, EndsAsCancelledOnlyIfTheVmStayed) {
    const MigrationMemo memo{.called = true, .cancel_requested = true};
    EXPECT_EQ(next(a_migration(Phase::verifying), memo, judged(OwnershipAct::keep_source))->migration.phase,
              Phase::cancelled);
    EXPECT_EQ(next(a_migration(Phase::finishing), memo, judged(OwnershipAct::keep_target))->migration.phase,
              Phase::succeeded);
}

TEST(Machine, RefusesToCancelAfterTheSwitch) {
    const auto step = next(a_migration(Phase::pull, hybrid), {.called = true, .may_have_switched = true},
                           event(Kind::cancel_requested));
    ASSERT_FALSE(step);
    EXPECT_EQ(step.error().code(), Code::failed_precondition);
    EXPECT_THAT(step.error().message(), HasSubstr("h2"));
}

TEST(Machine, DoesNotSwitchWhatIsBeingCancelled) {
    const auto step = next(a_migration(Phase::push, hybrid), {.called = true, .cancel_requested = true}, round(1));
    EXPECT_TRUE(step->acts.empty());
    EXPECT_FALSE(step->memo.may_have_switched);
}

TEST(Machine, RefusesToSwitchAModeWithoutPostCopyAndToResumeWhatIsNotPaused) {
    EXPECT_THAT(next(a_migration(Phase::push), {.called = true}, event(Kind::switch_requested)).error().message(),
                HasSubstr("pre_copy"));
    EXPECT_EQ(next(a_migration(Phase::push), {.called = true}, event(Kind::recover_requested)).error().code(),
              Code::failed_precondition);
    EXPECT_THAT(next(a_migration(Phase::failed), {}, event(Kind::cancel_requested)).error().message(),
                HasSubstr("has ended (failed)"));
}

TEST(Machine, CallsForAnOperatorAfterTooManyRecoveries) {
    const MigrationMemo memo{.called = true, .may_have_switched = true, .recoveries = 20};
    const auto step = next(a_migration(Phase::verifying, hybrid), memo, judged(OwnershipAct::post_copy_recover));
    EXPECT_EQ(step->migration.phase, Phase::pull_paused);
    EXPECT_EQ(step->acts, Acts{Act::alert_operator});
}

TEST(Machine, KeepsRoundsAndReasons) {
    const auto step = next(a_migration(Phase::push), {.called = true}, round(1));
    ASSERT_EQ(step->migration.rounds.size(), 1U);
    EXPECT_EQ(next(step->migration, step->memo, judged(OwnershipAct::keep_source))->migration.phase_reason, "seen");
}

TEST(Machine, RefusesAVerdictThatIsNone) {
    EXPECT_EQ(next(a_migration(Phase::verifying), {.called = true}, event(Kind::judged)).error().code(),
              Code::invalid_argument);
}

TEST(Machine, CarriesTheMemoThroughJsonAndIntoTheJournal) {
    const MigrationMemo memo{.called = true,
                             .may_have_switched = true,
                             .adopted = true,
                             .recoveries = 2,
                             .recovery_due = true,
                             .finishing = true,
                             .given_up = "why",
                             .downtime_limit = Milliseconds{250}};
    EXPECT_EQ(parse_as<MigrationMemo>(to_json_text(memo), "memo").value(), memo);
    const JournalSays says = journal_of(memo, 7, true);
    EXPECT_EQ(says.owner, Side::target);
    EXPECT_EQ(says.epoch, 7U);
    EXPECT_TRUE(says.may_have_switched);
    EXPECT_TRUE(says.settled);
}

}  // namespace
}  // namespace ballast::migration
