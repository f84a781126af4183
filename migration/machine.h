#pragma once
// The migration state machine: what the next phase is and what is to be done, for all four modes (stop-and-copy,
// pre-copy, post-copy, hybrid). Pure: every path is one row of a table test. It never decides who owns the VM: whenever
// something ends (the call returns, the job or the source is gone, the daemon was restarted), it goes to `verifying`
// and asks both sides; only ownership.h's verdict ends a migration. The return of the migrate call is a hint.
//
// How to drive it: persist Step::migration and Step::memo in one transaction, then do Step::acts in order. An act that
// changes a host has thereby been persisted before it is done (SAFETY.md 5). `ask_both_sides` reads the domain on both
// hosts (twice, in turn, for `settled`), calls judge() with journal_of(), and comes back with `judged`.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/job.h"
#include "migration/ownership.h"

namespace ballast::migration {

/// What the journal must remember beside the Migration row; part of Job::memo.
struct MigrationMemo {
    bool called = false;
    bool may_have_switched = false;
    bool target_seen_running = false;
    bool was_paused = false;
    bool cancel_requested = false;
    bool declared_lost = false;
    bool adopted = false;  ///< the store names the target as owner
    int recoveries = 0;    ///< attempts to resume a broken post-copy
    friend bool operator==(const MigrationMemo&, const MigrationMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationMemo, (),
                      (called, may_have_switched, target_seen_running, was_paused, cancel_requested, declared_lost,
                       adopted, recoveries))

enum class MigrationEventKind : std::uint8_t {
    begin,  ///< the claim is persisted
    preflight_passed,
    preflight_refused,  ///< detail: the first refusal
    job_setup,          ///< the source shows a migration job that has sent nothing yet
    job_active,         ///< it has sent its first bytes
    round_ended,        ///< `round` is filled in
    source_paused,      ///< the source stands still for the last copy
    switched,           ///< the target runs in post-copy
    post_copy_failed,   ///< either side shows it as failed or paused
    stalled,            ///< post-copy makes no progress and no error
    call_returned,      ///< with or without an error: a hint either way
    job_lost,           ///< the source shows no job any more, or can't be asked
    source_gone,
    target_running,
    judged,  ///< `verdict` is filled in
    cancel_requested,
    switch_requested,   ///< an operator or the policy wants post-copy now
    recover_requested,  ///< by time (back-off) or by an operator
    declare_lost,       ///< an operator gives up the running state
    restarted           ///< the daemon came up and found this migration in its journal
};
BOOST_DESCRIBE_ENUM(MigrationEventKind, begin, preflight_passed, preflight_refused, job_setup, job_active, round_ended,
                    source_paused, switched, post_copy_failed, stalled, call_returned, job_lost, source_gone,
                    target_running, judged, cancel_requested, switch_requested, recover_requested, declare_lost,
                    restarted)

struct MigrationEvent {
    MigrationEventKind kind = MigrationEventKind::begin;
    std::string detail;  ///< for people
    std::optional<MigrationRound> round;
    std::optional<Verdict> verdict;
};

enum class MigrationAct : std::uint8_t {
    check_pair,    ///< run the preflight: judge_move(), then preflight_passed or preflight_refused
    call_migrate,  ///< on the source's extra connection; comes back as call_returned
    watch_job,     ///< progress, rounds and states as events, until something ends
    start_post_copy,
    pause_post_copy,  ///< VIR_DOMAIN_ABORT_JOB_POSTCOPY
    abort_job,
    ask_both_sides,  ///< with back-off while the verdict is ask_again or conflict
    adopt_target,    ///< owner and epoch in the store, then the stamp on the target
    resume_source,
    end_target_copy,
    end_source_copy,
    undefine_source,
    recover_post_copy,  ///< migrate again with POSTCOPY_RESUME; comes back as call_returned
    restart_from_disk,  ///< end both remains, then queue a start of the VM on its owner
    alert_operator,
    record_result,  ///< total, downtime and bytes from the target's completed job
    release_claim
};
BOOST_DESCRIBE_ENUM(MigrationAct, check_pair, call_migrate, watch_job, start_post_copy, pause_post_copy, abort_job,
                    ask_both_sides, adopt_target, resume_source, end_target_copy, end_source_copy, undefine_source,
                    recover_post_copy, restart_from_disk, alert_operator, record_result, release_claim)

struct Limits {
    int hybrid_rounds = 1;       ///< pre-copy rounds before a hybrid migration switches
    int recovery_attempts = 20;  ///< resumes of a broken post-copy without an operator
};

struct Step {
    Migration migration;
    MigrationMemo memo;
    std::vector<MigrationAct> acts;
};

[[nodiscard]] bool has_ended(MigrationPhase phase);
/// Whether this mode sets VIR_MIGRATE_POSTCOPY, so that it may switch at all.
[[nodiscard]] bool can_switch(MigrationMode mode);

/// The step that follows. An event that changes nothing gives the same row and no acts; late hints are normal.
/// Errors: failed_precondition (cancel after the switch, switch in a mode without post-copy, recovery of what is not
/// paused, a request after the end), invalid_argument (`judged` without a verdict).
[[nodiscard]] Result<Step> next(const Migration& now, const MigrationMemo& memo, const MigrationEvent& event,
                                const Limits& limits = {});

/// What the journal says, for judge(). `owner_epoch`: of the VM's row in the store.
[[nodiscard]] JournalSays journal_of(const MigrationMemo& memo, std::uint64_t owner_epoch, bool settled);

}  // namespace ballast::migration
