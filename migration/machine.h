#pragma once
// The migration state machine: what the next phase is and what is to be done, for all four modes (stop-and-copy,
// pre-copy, post-copy, hybrid). Pure: every path is one row of a table test. It never decides who owns the VM: whenever
// something ends (the call returns, the job or the source is gone, the daemon was restarted), it goes to `verifying`
// and asks both sides; only ownership.h's verdict ends a migration. The return of the migrate call is a hint.
//
// How to drive it: persist Step::migration and Step::memo in one transaction, then do Step::acts in order. An act that
// changes a host has thereby been persisted before it is done (SAFETY.md 5). `ask_both_sides` reads the domain on both
// hosts (twice, in turn, for `settled`), calls judge() with journal_of(), and comes back with `judged`. Where
// Step::due_in is set, `recovery_due` is to come that much later, whatever else happens meanwhile; one that comes too
// late or twice does no harm.
//
// Finish now raises QEMU's downtime limit beyond anything that is left, so that QEMU stops the guest and copies the
// rest at once. The guest is never suspended for it: a pause would outlive a crash, and a switch-over does not.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/job.h"
#include "migration/ownership.h"
#include "migration/steer.h"

namespace ballast::migration {

/// What the journal must remember beside the Migration row; part of Job::memo.
struct MigrationMemo {
    bool called = false;
    bool may_have_switched = false;
    bool target_seen_running = false;
    bool was_paused = false;  ///< before the call; it never switches, and is never resumed
    bool cancel_requested = false;
    bool declared_lost = false;
    bool adopted = false;                          ///< the store names the target as owner
    int recoveries = 0;                            ///< attempts to resume a broken post-copy
    bool recovery_due = false;                     ///< the next one need not wait any more
    bool finishing = false;                        ///< finish now was asked for: no limit on the downtime any more
    std::string given_up{};                        ///< why steering aborts it; empty: it does not
    std::optional<Milliseconds> downtime_limit{};  ///< QEMU's, where it is not the first one any more
    friend bool operator==(const MigrationMemo&, const MigrationMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationMemo, (),
                      (called, may_have_switched, target_seen_running, was_paused, cancel_requested, declared_lost,
                       adopted, recoveries, recovery_due, finishing, given_up, downtime_limit))

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
    finish_requested,   ///< an operator wants the rest copied now, with the guest stopped
    tune_requested,     ///< other limits from now on: `tuning` is filled in
    steered,            ///< `steering` is filled in
    recover_requested,  ///< by an operator: at once, and with all attempts anew
    recovery_due,       ///< Step::due_in is over
    declare_lost,       ///< an operator gives up the running state
    restarted           ///< the daemon came up and found this migration in its journal
};
BOOST_DESCRIBE_ENUM(MigrationEventKind, begin, preflight_passed, preflight_refused, job_setup, job_active, round_ended,
                    source_paused, switched, post_copy_failed, stalled, call_returned, job_lost, source_gone,
                    target_running, judged, cancel_requested, switch_requested, finish_requested, tune_requested,
                    steered, recover_requested, recovery_due, declare_lost, restarted)

/// What an operator changes while it runs; what is left open stays.
struct Tuning {
    std::optional<Milliseconds> max_downtime;
    std::optional<BytesPerSecond> bandwidth;
    std::optional<BytesPerSecond> post_copy_bandwidth;
    friend bool operator==(const Tuning&, const Tuning&) = default;
};
BOOST_DESCRIBE_STRUCT(Tuning, (), (max_downtime, bandwidth, post_copy_bandwidth))

struct MigrationEvent {
    MigrationEventKind kind = MigrationEventKind::begin;
    std::string detail{};  ///< for people
    std::optional<MigrationRound> round{};
    std::optional<MigrationCompression> compression{};  ///< so far, at the end of a round
    std::optional<Verdict> verdict{};
    std::optional<Tuning> tuning{};
    std::optional<Steering> steering{};
    bool paused = false;  ///< with preflight_passed: the guest stands still already
    std::string actor{};  ///< token name of the operator; empty: Ballast itself
    Milliseconds at{0};   ///< since the start, for the record of interventions
};

enum class MigrationAct : std::uint8_t {
    check_pair,    ///< run the preflight: judge_move(), then preflight_passed or preflight_refused
    call_migrate,  ///< on the source's extra connection; comes back as call_returned
    watch_job,     ///< progress, rounds and states as events, until something ends
    start_post_copy,
    pause_post_copy,  ///< VIR_DOMAIN_ABORT_JOB_POSTCOPY
    set_downtime,     ///< QEMU's limit to downtime_limit_of()
    set_bandwidth,    ///< of the push to terms.bandwidth
    set_post_copy_bandwidth,
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
BOOST_DESCRIBE_ENUM(MigrationAct, check_pair, call_migrate, watch_job, start_post_copy, pause_post_copy, set_downtime,
                    set_bandwidth, set_post_copy_bandwidth, abort_job, ask_both_sides, adopt_target, resume_source,
                    end_target_copy, end_source_copy, undefine_source, recover_post_copy, restart_from_disk,
                    alert_operator, record_result, release_claim)

struct Limits {
    int hybrid_rounds = 1;                    ///< pre-copy rounds before a hybrid migration switches
    int recovery_attempts = 20;               ///< resumes of a broken post-copy without an operator
    Milliseconds recovery_pause{1'000};       ///< before the second one; each further one waits twice as long
    Milliseconds recovery_pause_max{60'000};  ///< but no longer than this
    Milliseconds switch_cost{0};              ///< of this pair of hosts, for the first downtime limit (steer.h)
    Milliseconds socket{0};                   ///< of this line, for all of them
    double overrun = 1;                       ///< of this pair's last copies, for the first one
};

struct Step {
    Migration migration;
    MigrationMemo memo;
    std::vector<MigrationAct> acts;
    std::optional<Milliseconds> due_in{};  ///< post `recovery_due` then
};

[[nodiscard]] bool has_ended(MigrationPhase phase);
/// Whether this mode sets VIR_MIGRATE_POSTCOPY, so that it may switch at all.
[[nodiscard]] bool can_switch(MigrationMode mode);
/// Whether this migration's stream is to be opened for post-copy: its mode needs it, or it was left to Ballast and the
/// terms allow it, so that a push that stalls can be switched.
[[nodiscard]] bool can_switch(const Migration& migration);

/// QEMU's downtime limit as it must be now: for the call, after a restart, and for the act `set_downtime`.
[[nodiscard]] Milliseconds downtime_limit_of(const Migration& migration, const MigrationMemo& memo,
                                             const Limits& limits = {});

/// The step that follows. An event that changes nothing gives the same row and no acts; late hints are normal.
/// Errors: failed_precondition (cancel after the switch, switch in a mode without post-copy, finish of what has
/// switched or not begun, recovery of what is not paused, a request after the end), invalid_argument (`judged` without
/// a verdict, `tune_requested` without a value or with one out of range, `steered` beyond the terms).
[[nodiscard]] Result<Step> next(const Migration& now, const MigrationMemo& memo, const MigrationEvent& event,
                                const Limits& limits = {});

/// What the journal says, for judge(). `owner_epoch`: of the VM's row in the store.
[[nodiscard]] JournalSays journal_of(const MigrationMemo& memo, std::uint64_t owner_epoch, bool settled);

}  // namespace ballast::migration
