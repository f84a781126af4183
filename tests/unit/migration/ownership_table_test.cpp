// The ownership table, row by row: what source, target and journal say, and what follows. The interleaving test proves
// the whole; these rows are for people.
#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migration/ownership.h"

namespace ballast::migration {
namespace {

using Act = OwnershipAct;

SourceSays source(DomainState state, bool job = false) {
    SourceSays says;
    says.reach = Reach::answered;
    says.present = says.persistent = true;
    says.state = state;
    says.job_active = job;
    return says;
}
SourceSays source(Reach reach) {
    SourceSays says;
    says.reach = reach;
    return says;
}
TargetSays target(DomainState state) {
    TargetSays says;
    says.reach = Reach::answered;
    says.present = true;
    says.persistent = state != DomainState::incoming;
    says.state = state;
    return says;
}
TargetSays target(Reach reach) {
    TargetSays says;
    says.reach = reach;
    return says;
}
const SourceSays source_absent = source(Reach::answered);
const TargetSays target_absent = target(Reach::answered);

JournalSays journal() {
    return {.called = true, .owner = Side::source, .epoch = 3, .settled = true};
}
JournalSays switched() {
    JournalSays says = journal();
    says.may_have_switched = true;
    return says;
}
JournalSays adopted() {
    JournalSays says = journal();
    says.owner = Side::target;
    says.target_seen_running = true;
    return says;
}

struct Row {
    const char* name;
    SourceSays source;
    TargetSays target;
    JournalSays journal;
    Owner owner;
    OwnershipAct act;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class OwnershipTable : public testing::TestWithParam<Row> {};

TEST_P(OwnershipTable, JudgesAs) {
    const Row& row = GetParam();
    const Verdict verdict = judge(row.source, row.target, row.journal);
    EXPECT_EQ(verdict.act, row.act) << verdict.reason;
    EXPECT_EQ(verdict.owner, row.owner) << verdict.reason;
    EXPECT_FALSE(verdict.reason.empty());
}

constexpr auto running = DomainState::running;
constexpr auto paused = DomainState::paused;
constexpr auto off = DomainState::shut_off;
constexpr auto incoming = DomainState::incoming;

INSTANTIATE_TEST_SUITE_P(
    PreCopy, OwnershipTable,
    testing::Values(
        Row{"ItRuns", source(running, true), target(incoming), journal(), Owner::source, Act::wait},
        Row{"LastCopy", source(paused, true), target(incoming), journal(), Owner::source, Act::wait},
        Row{"Confirming", source(paused, true), target(running), journal(), Owner::target, Act::wait},
        Row{"Arrived", source_absent, target(running), journal(), Owner::target, Act::adopt_target},
        Row{"Clean", source_absent, target(running), adopted(), Owner::target, Act::keep_target},
        Row{"StaleDefinition", source(off), target(running), adopted(), Owner::target, Act::undefine_source},
        Row{"SpentCopy", source(paused), target(running), adopted(), Owner::target, Act::end_source_copy},
        Row{"NothingHappened", source(running), target_absent, journal(), Owner::source, Act::keep_source},
        Row{"IncomingLeft", source(running), target(incoming), journal(), Owner::source, Act::end_target_copy},
        Row{"DefinitionLeft", source(running), target(off), journal(), Owner::source, Act::end_target_copy},
        Row{"LostEnd", source(paused), target_absent, journal(), Owner::source, Act::resume_source},
        Row{"LostEndFinishUnderWay", source(paused), target(incoming), journal(), Owner::undecided, Act::ask_again},
        Row{"LostEndTargetRuns", source(paused), target(running), journal(), Owner::target, Act::adopt_target},
        Row{"TargetRanAndDied", source(paused), target(off), journal(), Owner::target, Act::restart_from_disk},
        Row{"SourceDied", source(off), target_absent, journal(), Owner::source, Act::keep_source},
        Row{"SourceDiedFinishUnderWay", source(off), target(incoming), journal(), Owner::undecided, Act::ask_again},
        Row{"GuestEndedOnTarget", source_absent, target(off), journal(), Owner::target, Act::adopt_target},
        Row{"BothRun", source(running), target(running), journal(), Owner::undecided, Act::conflict},
        Row{"BothRunAfterAdoption", source(running), target(running), adopted(), Owner::undecided, Act::conflict},
        Row{"NowhereAnyMore", source_absent, target_absent, journal(), Owner::undecided, Act::conflict}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Unknown, OwnershipTable,
    testing::Values(
        Row{"SourceSilent", source(Reach::silent), target(incoming), journal(), Owner::undecided, Act::ask_again},
        Row{"SourceSilentTargetOff", source(Reach::silent), target(off), journal(), Owner::undecided, Act::ask_again},
        Row{"SourceSilentTargetRuns", source(Reach::silent), target(running), journal(), Owner::target,
            Act::adopt_target},
        Row{"SourceSilentAfterAdoption", source(Reach::silent), target(running), adopted(), Owner::target,
            Act::ask_again},
        Row{"TargetSilentSourceRuns", source(running), target(Reach::silent), journal(), Owner::source, Act::ask_again},
        Row{"TargetSilentSourcePaused", source(paused), target(Reach::silent), journal(), Owner::undecided,
            Act::ask_again},
        Row{"BothSilent", source(Reach::silent), target(Reach::silent), journal(), Owner::undecided, Act::ask_again},
        Row{"SourceDead", source(Reach::confirmed_dead), target(incoming), journal(), Owner::source,
            Act::end_target_copy},
        Row{"SourceDeadNothingLeft", source(Reach::confirmed_dead), target_absent, journal(), Owner::source,
            Act::restart_from_disk},
        Row{"SourceDeadTargetRuns", source(Reach::confirmed_dead), target(running), journal(), Owner::target,
            Act::adopt_target},
        Row{"TargetDeadSourceRuns", source(running), target(Reach::confirmed_dead), journal(), Owner::source,
            Act::keep_source},
        Row{"TargetDeadSourcePaused", source(paused), target(Reach::confirmed_dead), journal(), Owner::undecided,
            Act::conflict},
        Row{"TargetDeadAfterAdoption", source(off), target(Reach::confirmed_dead), adopted(), Owner::target,
            Act::undefine_source}),
    [](const auto& row) { return row.param.name; });

constexpr auto sending = DomainState::postcopy_source;
constexpr auto pulling = DomainState::postcopy_target;
constexpr auto broken = DomainState::postcopy_failed;

INSTANTIATE_TEST_SUITE_P(
    PostCopy, OwnershipTable,
    testing::Values(
        Row{"Pulls", source(sending, true), target(pulling), switched(), Owner::target, Act::wait},
        Row{"Done", source_absent, target(running), switched(), Owner::target, Act::adopt_target},
        Row{"DoneSourceLeft", source(sending), target(running), adopted(), Owner::target, Act::end_source_copy},
        Row{"Broken", source(broken), target(broken), switched(), Owner::target, Act::post_copy_recover},
        Row{"BrokenSourceSilent", source(Reach::silent), target(broken), switched(), Owner::target, Act::ask_again},
        Row{"BrokenTargetSilent", source(broken), target(Reach::silent), switched(), Owner::target, Act::ask_again},
        Row{"TargetDied", source(broken), target(off), switched(), Owner::target, Act::restart_from_disk},
        Row{"TargetHostDead", source(broken), target(Reach::confirmed_dead), switched(), Owner::target,
            Act::restart_from_disk},
        Row{"SourceDied", source(off), target(broken), switched(), Owner::target, Act::restart_from_disk},
        Row{"SourceHostDead", source(Reach::confirmed_dead), target(pulling), switched(), Owner::target,
            Act::restart_from_disk},
        Row{"PausedAfterTheIntent", source(paused), target_absent, switched(), Owner::target, Act::restart_from_disk},
        Row{"NeverSwitchedAfterAll", source(running), target_absent, switched(), Owner::source, Act::keep_source}),
    [](const auto& row) { return row.param.name; });

TEST(Ownership, ActsOnNothingThatWasReadOnlyOnce) {
    JournalSays once = journal();
    once.settled = false;
    EXPECT_EQ(judge(source(paused), target_absent, once).act, Act::ask_again);
    EXPECT_EQ(judge(source(running), target(incoming), once).act, Act::ask_again);
    EXPECT_EQ(judge(source_absent, target(running), once).act, Act::ask_again);
}

TEST(Ownership, WaitsForNoCallOnceTheSourceOfAPullIsGone) {
    EXPECT_FALSE(may_yet_be_changed_by_a_call(source(off), target(pulling)));
    EXPECT_FALSE(may_yet_be_changed_by_a_call(source_absent, target(broken)));
    EXPECT_FALSE(may_yet_be_changed_by_a_call(source(Reach::confirmed_dead), target(pulling)));
    EXPECT_TRUE(may_yet_be_changed_by_a_call(source(Reach::silent), target(pulling)));
    EXPECT_TRUE(may_yet_be_changed_by_a_call(source(broken), target(broken)));
    EXPECT_TRUE(may_yet_be_changed_by_a_call(source(off), target(incoming)));
    EXPECT_TRUE(may_yet_be_changed_by_a_call(source_absent, target(running)));
}

TEST(Ownership, StandsBackFromAHigherEpochAndAForeignCluster) {
    SourceSays ahead = source(running);
    ahead.epoch = 4;
    EXPECT_EQ(judge(ahead, target_absent, journal()).act, Act::conflict);
    TargetSays foreign = target(incoming);
    foreign.foreign = true;
    EXPECT_EQ(judge(source(running), foreign, journal()).act, Act::conflict);
}

TEST(Ownership, LeavesAVmPausedThatWasPausedBefore) {
    JournalSays says = journal();
    says.was_paused = true;
    EXPECT_EQ(judge(source(paused), target_absent, says).act, Act::keep_source);
}

TEST(Ownership, AsksWhetherAPausedVmRanOnATargetThatHasEnded) {
    JournalSays says = journal();
    EXPECT_EQ(judge(source(paused), target(off), says).act, Act::restart_from_disk) << "one that ran is lost";
    says.was_paused = true;
    const Verdict verdict = judge(source(paused), target(off), says);
    EXPECT_EQ(verdict.act, Act::conflict);
    EXPECT_THAT(verdict.reason, testing::HasSubstr("if nobody resumed it on the target, undefine it there"));
    says.declared_lost = true;
    EXPECT_EQ(judge(source(paused), target(off), says).act, Act::restart_from_disk);
    says.declared_lost = false;
    says.owner = Side::target;
    EXPECT_EQ(judge(source(paused), target(off), says).act, Act::end_source_copy)
        << "the owner's QEMU died, as any VM's";
}

TEST(Ownership, NeverResumesOnceTheTargetWasSeenRunning) {
    JournalSays says = journal();
    says.target_seen_running = true;
    EXPECT_EQ(judge(source(paused), target_absent, says).act, Act::restart_from_disk);
}

TEST(Ownership, GivesUpWhatAnOperatorDeclaresLost) {
    JournalSays says = switched();
    says.declared_lost = true;
    EXPECT_EQ(judge(source(broken), target(broken), says).act, Act::restart_from_disk);
}

TEST(Ownership, KeepsTheSourceWhereNothingWasEverCalled) {
    JournalSays says = journal();
    says.called = false;
    EXPECT_EQ(judge(source(running), target(Reach::silent), says).act, Act::keep_source);
}

}  // namespace
}  // namespace ballast::migration
