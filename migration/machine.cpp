#include "migration/machine.h"

#include <initializer_list>
#include <utility>

#include <boost/describe/enum_to_string.hpp>

namespace ballast::migration {
namespace {

using Kind = MigrationEventKind;
using Phase = MigrationPhase;
using Act = MigrationAct;

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
                return phase() == Phase::pull ? stay({Act::pause_post_copy}) : stay();
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
            case Kind::recover_requested:
                return recover_requested();
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
        if (event_.kind == Kind::cancel_requested || event_.kind == Kind::switch_requested ||
            event_.kind == Kind::recover_requested || event_.kind == Kind::declare_lost)
            return fail(Code::failed_precondition, "migration {} has ended ({}); nothing is left to do",
                        step_.migration.id, boost::describe::enum_to_string(phase(), "unknown"));
        return stay();
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
        return go(Phase::setup, {Act::call_migrate, Act::watch_job});
    }

    [[nodiscard]] Step start_post_copy() {
        if (step_.memo.may_have_switched) return stay();
        step_.memo.may_have_switched = true;
        return stay({Act::start_post_copy});
    }

    [[nodiscard]] Step progress() {
        if (event_.round) step_.migration.rounds.push_back(*event_.round);
        if (!on_the_way() || phase() == Phase::pull) return stay();
        if (event_.kind == Kind::job_setup) return stay();
        if (event_.kind == Kind::source_paused) return go(Phase::stop_and_copy, {});
        const bool first = phase() == Phase::setup;
        if (first)
            step_ = go(step_.migration.mode == MigrationMode::stop_and_copy ? Phase::stop_and_copy : Phase::push, {});
        if (phase() == Phase::push && wants_switch()) return start_post_copy();
        return stay();
    }

    /// Post-copy switches with the first bytes (before, libvirt refuses), hybrid after its rounds; never once a cancel
    /// is asked for.
    [[nodiscard]] bool wants_switch() const {
        if (step_.memo.cancel_requested) return false;
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
        step_.memo.cancel_requested = true;
        if (before_call()) return go(Phase::cancelled, {Act::release_claim});
        if (phase() == Phase::verifying || phase() == Phase::finishing) return stay({Act::ask_both_sides});
        return stay({Act::abort_job});
    }

    [[nodiscard]] Result<Step> switch_now() {
        if (!can_switch(step_.migration.mode))
            return fail(Code::failed_precondition,
                        "migration {} runs in mode {}, which can't switch; use post_copy or hybrid", step_.migration.id,
                        boost::describe::enum_to_string(step_.migration.mode, "unknown"));
        if (phase() != Phase::push)
            return fail(Code::failed_precondition,
                        "migration {} is in phase {}; it can switch to post-copy only in push", step_.migration.id,
                        boost::describe::enum_to_string(phase(), "unknown"));
        return start_post_copy();
    }

    [[nodiscard]] Result<Step> recover_requested() {
        if (phase() != Phase::pull_paused)
            return fail(Code::failed_precondition, "migration {} is not paused (phase {}); there is nothing to resume",
                        step_.migration.id, boost::describe::enum_to_string(phase(), "unknown"));
        step_.memo.recoveries = 0;
        return verify();
    }

    [[nodiscard]] Result<Step> judged() {
        if (!event_.verdict)
            return fail(Code::invalid_argument, "migration {}: `judged` carries no verdict", step_.migration.id);
        if (before_call()) return stay();
        switch (event_.verdict->act) {
            case OwnershipAct::wait:
                return go(back_on_the_way(), {Act::watch_job});
            case OwnershipAct::ask_again:
                return stay_verifying({Act::ask_both_sides});
            case OwnershipAct::conflict:
                return stay_verifying({Act::alert_operator, Act::ask_both_sides});
            case OwnershipAct::keep_source:
                return go(step_.memo.cancel_requested ? Phase::cancelled : Phase::failed, {Act::release_claim});
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

    [[nodiscard]] Phase back_on_the_way() const {
        if (event_.verdict->owner == Owner::target) return Phase::pull;
        if (step_.migration.mode == MigrationMode::stop_and_copy) return Phase::stop_and_copy;
        return Phase::push;
    }

    [[nodiscard]] Step stay_verifying(std::initializer_list<Act> acts) {
        const bool settled_phase = phase() == Phase::finishing || phase() == Phase::pull_paused;
        return go(settled_phase ? phase() : Phase::verifying, acts);
    }

    [[nodiscard]] Step recover() {
        if (step_.memo.recoveries >= limits_.recovery_attempts) return go(Phase::pull_paused, {Act::alert_operator});
        ++step_.memo.recoveries;
        return go(Phase::pull, {Act::recover_post_copy, Act::watch_job});
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
