#include "migration/machine.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"

namespace ballast::migration {
namespace {

using Kind = MigrationEventKind;
using Phase = MigrationPhase;
using Act = MigrationAct;

/// QEMU's own maximum: nothing that is left takes longer than this.
constexpr Milliseconds no_downtime_limit{2'000'000};

/// One event at one phase. Each handler returns the step, built from the row and memo as they are.
class Transition {
  public:
    Transition(const Migration& now, const MigrationMemo& memo, const MigrationEvent& event, const Limits& limits)
        : step_{now, memo, {}}, event_(event), limits_(limits) {}

    [[nodiscard]] Result<Step> run() {
        if (has_ended(phase())) return after_the_end();
        switch (event_.kind) {
            case Kind::begin:
                return phase() == Phase::claimed ? go(Phase::preparing, {Act::check_pair}) : stay();
            case Kind::preflight_passed:
                return call();
            case Kind::preflight_refused:
                return phase() == Phase::preparing ? go(Phase::failed, {Act::release_claim}) : stay();
            case Kind::job_setup:
            case Kind::job_active:
            case Kind::round_ended:
            case Kind::source_paused:
                return progress();
            case Kind::switched:
                return switched();
            case Kind::post_copy_failed:
                return phase() == Phase::pull ? go(Phase::pull_paused, {Act::ask_both_sides}) : verify();
            case Kind::stalled:
                return stalled();
            case Kind::target_running:
                step_.memo.target_seen_running = true;
                return verify();
            case Kind::call_returned:
            case Kind::job_lost:
            case Kind::source_gone:
                return verify();
            case Kind::judged:
                return judged();
            case Kind::cancel_requested:
                return cancel();
            case Kind::switch_requested:
                return switch_now();
            case Kind::finish_requested:
                return finish_now();
            case Kind::tune_requested:
                return tune();
            case Kind::steered:
                return steered();
            case Kind::recover_requested:
                return recover_requested();
            case Kind::recovery_due:
                return recovery_due();
            case Kind::declare_lost:
                step_.memo.declared_lost = true;
                return before_call() ? cancel() : verify();
            case Kind::restarted:
                return before_call() ? go(Phase::preparing, {Act::check_pair}) : verify();
        }
        std::unreachable();
    }

  private:
    [[nodiscard]] Phase phase() const { return step_.migration.phase; }
    [[nodiscard]] bool before_call() const { return phase() == Phase::claimed || phase() == Phase::preparing; }
    /// The phases in which libvirt's job is watched.
    [[nodiscard]] bool on_the_way() const {
        return phase() == Phase::setup || phase() == Phase::push || phase() == Phase::stop_and_copy ||
               phase() == Phase::pull;
    }

    /// Somebody has decided that the VM stays on the source.
    [[nodiscard]] bool is_called_off() const { return step_.memo.cancel_requested || !step_.memo.given_up.empty(); }
    [[nodiscard]] std::string phase_name() const { return boost::describe::enum_to_string(phase(), "unknown"); }

    void record(std::string what, std::string why) {
        step_.migration.interventions.push_back({.at = event_.at,
                                                 .what = std::move(what),
                                                 .why = std::move(why),
                                                 .actor = event_.actor.empty() ? "ballast" : event_.actor});
    }

    [[nodiscard]] Step stay(std::initializer_list<Act> acts = {}) {
        step_.acts = acts;
        return step_;
    }

    [[nodiscard]] Step go(Phase to, std::initializer_list<Act> acts) {
        step_.migration.phase = to;
        step_.migration.phase_reason = event_.verdict ? event_.verdict->reason : event_.detail;
        return stay(acts);
    }

    [[nodiscard]] Result<Step> after_the_end() {
        if (is_an_operators_word(event_.kind))
            return fail(Code::failed_precondition, "migration {} has ended ({}); nothing is left to do",
                        step_.migration.id, phase_name());
        return stay();
    }

    [[nodiscard]] static bool is_an_operators_word(Kind kind) {
        return kind == Kind::cancel_requested || kind == Kind::switch_requested || kind == Kind::finish_requested ||
               kind == Kind::tune_requested || kind == Kind::recover_requested || kind == Kind::declare_lost;
    }

    /// Something ended or may have: the hypervisors are asked, whatever the hint said.
    [[nodiscard]] Step verify() {
        if (before_call()) return stay();
        if (phase() == Phase::finishing || phase() == Phase::verifying) return stay({Act::ask_both_sides});
        return go(Phase::verifying, {Act::ask_both_sides});
    }

    [[nodiscard]] Step call() {
        if (phase() != Phase::preparing) return stay();
        if (step_.memo.cancel_requested) return go(Phase::cancelled, {Act::release_claim});
        step_.memo.called = true;
        step_.memo.was_paused = step_.migration.paused = event_.paused;
        if (event_.paused) step_.migration.terms.post_copy = false;  // also where an operator wants to switch later
        return go(Phase::setup, {Act::call_migrate, Act::watch_job});
    }

    [[nodiscard]] Step start_post_copy() {
        if (step_.memo.may_have_switched) return stay();
        step_.memo.may_have_switched = true;
        return stay({Act::start_post_copy});
    }

    [[nodiscard]] Step progress() {
        if (event_.round) step_.migration.rounds.push_back(*event_.round);
        if (event_.compression) step_.migration.compression = event_.compression;
        if (!on_the_way() || phase() == Phase::pull) return stay();
        if (event_.kind == Kind::job_setup) return stay();
        if (event_.kind == Kind::source_paused) return go(Phase::stop_and_copy, {});
        const bool first = phase() == Phase::setup;
        if (first)
            step_ = go(step_.migration.mode == MigrationMode::stop_and_copy ? Phase::stop_and_copy : Phase::push, {});
        if (phase() == Phase::push && wants_switch()) return start_post_copy();
        return stay();
    }

    /// Post-copy switches with the first bytes (before, libvirt refuses), hybrid after its rounds; never once it is to
    /// end otherwise.
    [[nodiscard]] bool wants_switch() const {
        if (is_called_off() || step_.memo.finishing) return false;
        if (step_.migration.mode == MigrationMode::post_copy) return true;
        return step_.migration.mode == MigrationMode::hybrid && event_.round &&
               event_.round->round >= limits_.hybrid_rounds;
    }

    [[nodiscard]] Step switched() {
        step_.memo.may_have_switched = true;
        step_.memo.target_seen_running = true;
        return on_the_way() && phase() != Phase::pull ? go(Phase::pull, {}) : stay();
    }

    [[nodiscard]] Result<Step> cancel() {
        if (step_.memo.may_have_switched)
            return fail(
                Code::failed_precondition,
                "migration {} has switched (or is switching) to post-copy: the VM runs on {} and can't go back; "
                "wait for its end",
                step_.migration.id, step_.migration.to);
        if (!step_.memo.cancel_requested) record("cancel", event_.detail);
        step_.memo.cancel_requested = true;
        if (before_call()) return go(Phase::cancelled, {Act::release_claim});
        if (phase() == Phase::verifying || phase() == Phase::finishing) return stay({Act::ask_both_sides});
        return stay({Act::abort_job});
    }

    [[nodiscard]] Result<Step> switch_now() {
        const Migration& row = step_.migration;
        if (!can_switch(row))
            return fail(
                Code::failed_precondition,
                "migration {} runs in mode {} without leave for post-copy, so it can't switch; use post_copy or "
                "hybrid, or a policy that allows post-copy",
                row.id, boost::describe::enum_to_string(row.mode, "unknown"));
        if (phase() != Phase::push)
            return fail(Code::failed_precondition,
                        "migration {} is in phase {}; it can switch to post-copy only in push", row.id, phase_name());
        BALLAST_CHECK(goes_on());
        if (step_.memo.finishing)
            return fail(Code::failed_precondition, "migration {} copies the rest already (finish now)", row.id);
        if (!step_.memo.may_have_switched) record("switch_to_post_copy", event_.detail);
        return start_post_copy();
    }

    /// Refuses what makes no sense for a migration that is being called off.
    [[nodiscard]] Result<void> goes_on() const {
        if (is_called_off())
            return fail(Code::failed_precondition, "migration {} is being aborted: the VM stays on {}",
                        step_.migration.id, step_.migration.from);
        return {};
    }

    /// The limits that QEMU has are changed only while its job may run; before the call, the terms suffice.
    [[nodiscard]] bool job_may_run() const { return on_the_way() || phase() == Phase::verifying; }

    [[nodiscard]] Result<Step> finish_now() {
        const JobId& id = step_.migration.id;
        if (before_call())
            return fail(Code::failed_precondition,
                        "migration {} has not begun (phase {}); cancel it and ask for mode stop_and_copy", id,
                        phase_name());
        if (step_.memo.may_have_switched)
            return fail(Code::failed_precondition,
                        "migration {} has switched (or is switching) to post-copy: the VM runs on {}, and the rest of "
                        "its memory follows as fast as the link allows",
                        id, step_.migration.to);
        BALLAST_CHECK(goes_on());
        if (step_.memo.finishing || !job_may_run()) return stay();
        step_.memo.finishing = true;
        record("finish_now", event_.detail);
        return stay({Act::set_downtime});
    }

    [[nodiscard]] Result<Step> tune() {
        if (!event_.tuning || *event_.tuning == Tuning{})
            return fail(Code::invalid_argument,
                        "migration {}: nothing to change; name max_downtime, bandwidth or post_copy_bandwidth",
                        step_.migration.id);
        const Tuning& tuning = *event_.tuning;
        MigrationPolicy asked;
        asked.max_downtime = tuning.max_downtime;
        asked.bandwidth = tuning.bandwidth;
        asked.post_copy_bandwidth = tuning.post_copy_bandwidth;
        BALLAST_CHECK(check(asked, "tuning"));
        if (tuning.max_downtime && (step_.memo.may_have_switched || step_.memo.finishing))
            return fail(Code::failed_precondition,
                        "migration {} is past its downtime limit (it {}); only its bandwidths can be changed",
                        step_.migration.id,
                        step_.memo.finishing ? "copies the rest with the VM stopped" : "has switched to post-copy");
        return apply(tuning);
    }

    [[nodiscard]] Step apply(const Tuning& tuning) {
        MigrationTerms& terms = step_.migration.terms;
        std::vector<Act> acts;
        if (tuning.max_downtime) {
            terms.max_downtime = *tuning.max_downtime;
            step_.memo.downtime_limit.reset();
            record("set_downtime", to_string(*tuning.max_downtime));
            acts.push_back(Act::set_downtime);
        }
        if (tuning.bandwidth) {
            terms.bandwidth = tuning.bandwidth;
            record("set_bandwidth", to_string(*tuning.bandwidth));
            acts.push_back(Act::set_bandwidth);
        }
        if (tuning.post_copy_bandwidth) {
            terms.post_copy_bandwidth = tuning.post_copy_bandwidth;
            record("set_post_copy_bandwidth", to_string(*tuning.post_copy_bandwidth));
            if (can_switch(step_.migration)) acts.push_back(Act::set_post_copy_bandwidth);
        }
        if (job_may_run()) step_.acts = std::move(acts);
        return step_;
    }

    /// What the engine decides about its own push. One that comes late, after anybody else's word, changes nothing.
    [[nodiscard]] Result<Step> steered() {
        if (!event_.steering)
            return fail(Code::invalid_argument, "migration {}: `steered` carries nothing", step_.migration.id);
        const bool open = phase() == Phase::push && !step_.memo.cancel_requested && !step_.memo.finishing &&
                          !step_.memo.may_have_switched;
        if (!open) return stay();
        switch (event_.steering->act) {
            case SteeringAct::none:
                return stay();
            case SteeringAct::switch_to_post_copy:
                return steered_into_post_copy();
            case SteeringAct::raise_downtime:
                return raise_downtime();
            case SteeringAct::abort:
                return give_up();
        }
        std::unreachable();
    }

    [[nodiscard]] Result<Step> steered_into_post_copy() {
        if (!can_switch(step_.migration) || !step_.migration.terms.post_copy)
            return fail(Code::invalid_argument, "migration {}: its terms allow no post-copy", step_.migration.id);
        if (is_called_off()) return stay();
        record("switch_to_post_copy", event_.steering->reason);
        return start_post_copy();
    }

    [[nodiscard]] Result<Step> raise_downtime() {
        const Milliseconds wanted = event_.steering->downtime;
        if (wanted > step_.migration.terms.max_downtime)
            return fail(Code::invalid_argument, "migration {}: its terms allow a downtime of {}, not {}",
                        step_.migration.id, to_string(step_.migration.terms.max_downtime), to_string(wanted));
        if (is_called_off() || wanted <= downtime_limit_of(step_.migration, step_.memo, limits_)) return stay();
        step_.memo.downtime_limit = wanted;
        record("raise_downtime", event_.steering->reason);
        return stay({Act::set_downtime});
    }

    /// Asked again while the job still runs, it is aborted again: the first word may have been lost.
    [[nodiscard]] Step give_up() {
        if (step_.memo.given_up.empty()) {
            step_.memo.given_up = event_.steering->reason;
            record("abort", event_.steering->reason);
        }
        return stay({Act::abort_job});
    }

    [[nodiscard]] Step stalled() {
        if (phase() != Phase::pull) return stay();
        record("pause_post_copy", event_.detail);
        return stay({Act::pause_post_copy});
    }

    [[nodiscard]] Result<Step> recover_requested() {
        if (phase() != Phase::pull_paused)
            return fail(Code::failed_precondition, "migration {} is not paused (phase {}); there is nothing to resume",
                        step_.migration.id, phase_name());
        step_.memo.recoveries = 0;
        step_.memo.recovery_due = true;
        record("resume", event_.detail);
        return verify();
    }

    [[nodiscard]] Step recovery_due() {
        if (phase() != Phase::pull_paused) return stay();
        step_.memo.recovery_due = true;
        return verify();
    }

    [[nodiscard]] Result<Step> judged() {
        if (!event_.verdict)
            return fail(Code::invalid_argument, "migration {}: `judged` carries no verdict", step_.migration.id);
        if (before_call()) return stay();
        switch (event_.verdict->act) {
            case OwnershipAct::wait:
                return back_to_watching();
            case OwnershipAct::ask_again:
                return stay_verifying({Act::ask_both_sides});
            case OwnershipAct::conflict:
                return stay_verifying({Act::alert_operator, Act::ask_both_sides});
            case OwnershipAct::keep_source:
                return stays_on_source();
            case OwnershipAct::keep_target:
                return go(Phase::succeeded, {Act::record_result, Act::release_claim});
            case OwnershipAct::adopt_target:
                step_.memo.adopted = true;
                step_.memo.target_seen_running = true;
                return go(Phase::finishing, {Act::adopt_target, Act::ask_both_sides});
            case OwnershipAct::resume_source:
                return stay_verifying({Act::resume_source, Act::ask_both_sides});
            case OwnershipAct::end_target_copy:
                return stay_verifying({Act::end_target_copy, Act::ask_both_sides});
            case OwnershipAct::end_source_copy:
                return stay_verifying({Act::end_source_copy, Act::ask_both_sides});
            case OwnershipAct::undefine_source:
                return stay_verifying({Act::undefine_source, Act::ask_both_sides});
            case OwnershipAct::post_copy_recover:
                return recover();
            case OwnershipAct::restart_from_disk:
                return go(Phase::failed, {Act::alert_operator, Act::restart_from_disk, Act::release_claim});
        }
        std::unreachable();
    }

    /// A word that was persisted and maybe never reached the host is given again.
    [[nodiscard]] Step back_to_watching() {
        const Phase back = back_on_the_way();
        if (back == Phase::pull) return go(back, {Act::watch_job});
        const bool unheard = event_.verdict->owner == Owner::source && can_switch(step_.migration);
        if (step_.memo.may_have_switched && unheard) return go(back, {Act::watch_job, Act::start_post_copy});
        if (step_.memo.may_have_switched) return go(back, {Act::watch_job});
        if (is_called_off()) return go(back, {Act::watch_job, Act::abort_job});
        if (step_.memo.finishing) return go(back, {Act::watch_job, Act::set_downtime});
        return go(back, {Act::watch_job});
    }

    [[nodiscard]] Step stays_on_source() {
        Step ended = go(step_.memo.cancel_requested ? Phase::cancelled : Phase::failed, {Act::release_claim});
        if (ended.migration.phase == Phase::failed && !step_.memo.given_up.empty())
            ended.migration.phase_reason = step_.memo.given_up;
        return ended;
    }

    [[nodiscard]] Phase back_on_the_way() const {
        if (event_.verdict->owner == Owner::target) return Phase::pull;
        if (step_.migration.mode == MigrationMode::stop_and_copy) return Phase::stop_and_copy;
        return Phase::push;
    }

    [[nodiscard]] Step stay_verifying(std::initializer_list<Act> acts) {
        const bool settled_phase = phase() == Phase::finishing || phase() == Phase::pull_paused;
        return go(settled_phase ? phase() : Phase::verifying, acts);
    }

    /// The first attempt at once, each further one after a pause that grows: a link that is cut stays so for a while.
    [[nodiscard]] Step recover() {
        MigrationMemo& memo = step_.memo;
        if (memo.recoveries >= limits_.recovery_attempts) return go(Phase::pull_paused, {Act::alert_operator});
        if (memo.recoveries > 0 && !memo.recovery_due) {
            Step waiting = go(Phase::pull_paused, {});
            waiting.due_in = recovery_pause();
            return waiting;
        }
        ++memo.recoveries;
        memo.recovery_due = false;
        record("resume", event_.verdict->reason);
        return go(Phase::pull, {Act::recover_post_copy, Act::watch_job});
    }

    [[nodiscard]] Milliseconds recovery_pause() const {
        Milliseconds pause = limits_.recovery_pause;
        for (int i = 1; i < step_.memo.recoveries && pause < limits_.recovery_pause_max; ++i) pause *= 2;
        return std::min(pause, limits_.recovery_pause_max);
    }

    Step step_;
    const MigrationEvent& event_;
    const Limits& limits_;
};

}  // namespace

bool has_ended(MigrationPhase phase) {
    return phase == Phase::succeeded || phase == Phase::failed || phase == Phase::cancelled;
}

bool can_switch(MigrationMode mode) {
    return mode == MigrationMode::post_copy || mode == MigrationMode::hybrid;
}

bool can_switch(const Migration& migration) {
    if (can_switch(migration.mode)) return true;
    return migration.mode == MigrationMode::pre_copy && migration.requested == ModeChoice::auto_ &&
           migration.terms.post_copy && migration.knobs.parallel == 0;
}

Milliseconds downtime_limit_of(const Migration& migration, const MigrationMemo& memo, const Limits& limits) {
    if (memo.finishing) return no_downtime_limit;
    return memo.downtime_limit.value_or(
        first_downtime_limit(migration.terms, limits.switch_cost, limits.socket, limits.overrun));
}

Result<Step> next(const Migration& now, const MigrationMemo& memo, const MigrationEvent& event, const Limits& limits) {
    return Transition(now, memo, event, limits).run();
}

JournalSays journal_of(const MigrationMemo& memo, std::uint64_t owner_epoch, bool settled) {
    return {.called = memo.called,
            .may_have_switched = memo.may_have_switched,
            .target_seen_running = memo.target_seen_running,
            .was_paused = memo.was_paused,
            .declared_lost = memo.declared_lost,
            .owner = memo.adopted ? Side::target : Side::source,
            .epoch = owner_epoch,
            .settled = settled};
}

}  // namespace ballast::migration
