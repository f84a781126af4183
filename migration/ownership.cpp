#include "migration/ownership.h"

#include <utility>

namespace ballast::migration {
namespace {

/// What a source can be, as far as ownership cares.
enum class Source : std::uint8_t { silent, dead, running, paused, switched, off, absent, odd };
/// What a target can be. `incoming`: active and never made persistent, so it has never run. `arrived`: made persistent,
/// its CPUs stand still now. `pulling`, `broken`: runs in post-copy, `broken` without its stream.
enum class Target : std::uint8_t { silent, dead, running, arrived, pulling, broken, incoming, off, absent, odd };

Source classify(const SourceSays& source) {
    if (source.reach == Reach::silent) return Source::silent;
    if (source.reach == Reach::confirmed_dead) return Source::dead;
    if (!source.present) return Source::absent;
    switch (source.state) {
        case DomainState::running:
        case DomainState::shutting_down:
        case DomainState::suspended:
            return Source::running;
        case DomainState::paused:
            return Source::paused;
        case DomainState::postcopy_source:
        case DomainState::postcopy_failed:
            return Source::switched;
        case DomainState::shut_off:
        case DomainState::crashed:
            return Source::off;
        case DomainState::incoming:
        case DomainState::postcopy_target:
            return Source::odd;
        case DomainState::unknown:
            return Source::silent;
    }
    std::unreachable();
}

Target classify(const TargetSays& target) {
    if (target.reach == Reach::silent) return Target::silent;
    if (target.reach == Reach::confirmed_dead) return Target::dead;
    if (!target.present) return Target::absent;
    switch (target.state) {
        case DomainState::running:
        case DomainState::shutting_down:
        case DomainState::suspended:
            return Target::running;
        case DomainState::paused:
        case DomainState::incoming:
            return target.persistent ? Target::arrived : Target::incoming;
        case DomainState::postcopy_target:
            return Target::pulling;
        case DomainState::postcopy_failed:
            return Target::broken;
        case DomainState::shut_off:
        case DomainState::crashed:
            return Target::off;
        case DomainState::postcopy_source:
            return Target::odd;
        case DomainState::unknown:
            return Target::silent;
    }
    std::unreachable();
}

/// The case being judged: both sides classified, the journal and the rules at hand.
struct Case {
    Source source;
    Target target;
    bool job_active;
    bool post_copy_failed;  ///< the source says so of itself
    const JournalSays& journal;
    const RuleSet& rules;
};

Verdict verdict(Owner owner, OwnershipAct act, std::string reason) {
    return {owner, act, std::move(reason)};
}

/// An act that may only follow a settled reading; until then, the sides are read again.
Verdict once_settled(const Case& c, Owner owner, OwnershipAct act, std::string reason) {
    if (c.journal.settled || !c.rules.act_only_when_settled) return verdict(owner, act, std::move(reason));
    return verdict(owner, OwnershipAct::ask_again, std::move(reason) + "; read again before acting on it");
}

bool is_live(Target target) {
    return target == Target::running || target == Target::pulling || target == Target::broken;
}

Verdict judge_lost(const Case& c, Owner owner, std::string reason) {
    return once_settled(c, owner, OwnershipAct::restart_from_disk, std::move(reason));
}

/// The target is the owner in the store already: what is left on the source goes, by rule 4 (i).
Verdict clean_source(const Case& c) {
    switch (c.source) {
        case Source::absent:
        case Source::dead:
            return verdict(Owner::target, OwnershipAct::keep_target,
                           "the target owns the VM, the source holds nothing");
        case Source::off:
            return once_settled(c, Owner::target, OwnershipAct::undefine_source,
                                "the target owns the VM, the source's definition is stale");
        case Source::paused:
        case Source::switched:
            return once_settled(c, Owner::target, OwnershipAct::end_source_copy,
                                "the target owns the VM, the source's paused copy is spent");
        case Source::silent:
            return verdict(Owner::target, OwnershipAct::ask_again,
                           "the target owns the VM, the source can't be asked for leftovers");
        case Source::running:
        case Source::odd:
            return once_settled(c, Owner::undecided, OwnershipAct::conflict,
                                "the target owns the VM, but a copy is active on the source as well");
    }
    std::unreachable();
}

/// Post-copy: the memory is on both sides, the CPUs on the target. Nothing may ever run on the source again.
Verdict judge_pull(const Case& c) {
    const bool source_gone = c.source == Source::off || c.source == Source::absent || c.source == Source::dead;
    if (source_gone)
        return judge_lost(c, Owner::target,
                          "the source ended before the target had pulled all memory: the running "
                          "state is lost");
    if (c.source == Source::running)
        return once_settled(c, Owner::undecided, OwnershipAct::conflict,
                            "the target runs in post-copy, and a copy runs on the source as well");
    if (c.source == Source::silent)
        return verdict(Owner::target, OwnershipAct::ask_again, "in post-copy, the source can't be asked");
    if (c.target == Target::broken)
        return once_settled(c, Owner::target, OwnershipAct::post_copy_recover,
                            "post-copy is interrupted, both copies hold a part of the memory");
    // A resume that meets a target which has not noticed the break yet is refused at best, and can hang libvirtd 9.0.
    if (c.post_copy_failed || !c.job_active)
        return verdict(Owner::target, OwnershipAct::ask_again,
                       "post-copy is interrupted, the target has not noticed it yet");
    return verdict(Owner::target, OwnershipAct::wait, "post-copy: the target runs and pulls");
}

/// The source has switched to post-copy and the target does not run: what was running is in pieces.
Verdict judge_switched(const Case& c) {
    switch (c.target) {
        case Target::silent:
            if (!c.rules.end_source_only_if_target_took_over)
                return once_settled(c, Owner::target, OwnershipAct::end_source_copy, "broken rule: half a VM is ended");
            return verdict(Owner::target, OwnershipAct::ask_again, "switched to post-copy, the target can't be asked");
        case Target::incoming:
        case Target::arrived:
            if (c.job_active) return verdict(Owner::target, OwnershipAct::wait, "switching to post-copy");
            return once_settled(c, Owner::target, OwnershipAct::post_copy_recover,
                                "post-copy broke before the target ran, both copies hold the memory");
        case Target::dead:
        case Target::off:
        case Target::absent:
            if (c.job_active && !c.post_copy_failed && c.target != Target::dead)
                return verdict(Owner::target, OwnershipAct::wait,
                               "switched to post-copy, the target is gone: its job ends");
            return judge_lost(c, Owner::target,
                              "the target ended after the switch to post-copy: the running state is "
                              "lost");
        case Target::running:
        case Target::pulling:
        case Target::broken:
        case Target::odd:
            break;
    }
    return once_settled(c, Owner::undecided, OwnershipAct::conflict, "the target is in a state that no move leads to");
}

Verdict hold_source(const Case& c, std::string reason) {
    return once_settled(c, Owner::source, OwnershipAct::end_target_copy, std::move(reason));
}

/// No source runs that could vouch for it: the finish of this incoming copy may be on its way. Its libvirtd ends it as
/// soon as the source's connection is gone, or it runs.
Verdict wait_for_incoming(const Case& c) {
    if (!c.rules.end_incoming_only_if_it_can_not_finish)
        return hold_source(c, "broken rule: an incoming copy is ended");
    return verdict(Owner::undecided, OwnershipAct::ask_again,
                   "the source does not run, the target has not started yet: its libvirtd starts or ends it");
}

/// The source runs and no job works on it: it is the owner, whatever was tried.
Verdict judge_running_source(const Case& c) {
    switch (c.target) {
        case Target::absent:
        case Target::dead:
            return once_settled(c, Owner::source, OwnershipAct::keep_source,
                                "the VM runs on the source, nothing is left on the target");
        case Target::incoming:
            return hold_source(c, "the VM runs on the source, the target's copy never ran");
        case Target::off:
            return hold_source(c, "the VM runs on the source, the target's definition is stale");
        case Target::silent:
            return verdict(Owner::source, OwnershipAct::ask_again,
                           "the VM runs on the source, the target can't be asked for leftovers");
        case Target::running:
        case Target::arrived:
        case Target::pulling:
        case Target::broken:
        case Target::odd:
            break;
    }
    if (!c.rules.two_running_copies_are_a_conflict) return hold_source(c, "broken rule: one of two is ended");
    return once_settled(c, Owner::undecided, OwnershipAct::conflict, "a copy is active on both hosts");
}

Verdict resume(const Case& c) {
    if (c.journal.was_paused)
        return once_settled(c, Owner::source, OwnershipAct::keep_source,
                            "the VM is on the source, paused as it was before the move");
    return once_settled(c, Owner::source, OwnershipAct::resume_source,
                        "the target never ran and holds nothing, the source stands paused by the move");
}

/// A VM that was paused before the move is not resumed on the target either: one that was off there since may have run
/// by somebody's hand, or not; only then the source's memory is of the past.
Verdict ask_whether_it_ran(const Case& c) {
    return once_settled(c, Owner::undecided, OwnershipAct::conflict,
                        "the VM was paused before the move, the target took it over and has ended, the source still "
                        "holds it paused: if nobody resumed it on the target, undefine it there and the source keeps "
                        "it, else declare the running state lost");
}

/// The source stands still after its switch-over and its libvirtd has lost the end of the protocol.
Verdict judge_paused_source(const Case& c) {
    if (c.journal.may_have_switched && c.rules.never_resume_after_switch) return judge_switched(c);
    switch (c.target) {
        case Target::silent:
            if (!c.rules.never_resume_beside_a_target_that_may_run) return resume(c);
            return verdict(Owner::undecided, OwnershipAct::ask_again,
                           "the source stands paused by the move, the target may run and can't be asked");
        case Target::dead:
            if (!c.rules.never_resume_once_target_has_run) return resume(c);
            return once_settled(
                c, Owner::undecided, OwnershipAct::conflict,
                "the source stands paused by the move and the target is confirmed dead: it may have "
                "run and written to the disk; bring it back to look, or declare the running state lost");
        case Target::absent:
            if (c.journal.target_seen_running && c.rules.never_resume_once_target_has_run)
                return judge_lost(c, Owner::target, "the target ran and is gone: the running state is lost");
            return resume(c);
        case Target::incoming:
            if (!c.rules.never_resume_beside_an_incoming) return resume(c);
            return wait_for_incoming(c);
        case Target::off:
            if (c.journal.was_paused) return ask_whether_it_ran(c);
            if (!c.rules.never_resume_once_target_has_run) return resume(c);
            return judge_lost(c, Owner::target, "the target took the VM over and ended: the running state is lost");
        case Target::running:
        case Target::arrived:
        case Target::pulling:
        case Target::broken:
        case Target::odd:
            break;
    }
    return once_settled(c, Owner::undecided, OwnershipAct::conflict, "the target is in a state that no move leads to");
}

/// The source's QEMU is gone (its definition may remain), or its host is confirmed dead.
Verdict judge_ended_source(const Case& c) {
    const bool defined = c.source == Source::off;
    switch (c.target) {
        case Target::silent:
            return verdict(Owner::undecided, OwnershipAct::ask_again,
                           "no copy is active on the source, the target can't be asked");
        case Target::incoming:
            if (c.source != Source::dead) return wait_for_incoming(c);
            return hold_source(c, "the source is confirmed dead, the target's copy never ran");
        case Target::dead:
        case Target::absent:
            if (defined)
                return once_settled(c, Owner::source, OwnershipAct::keep_source,
                                    "the VM ended on the source, nothing is left on the target");
            if (c.source == Source::dead)
                return judge_lost(c, Owner::source, "the source died with the VM, the target never ran");
            return once_settled(c, Owner::undecided, OwnershipAct::conflict, "no host has the VM any more");
        case Target::off:
        case Target::running:
        case Target::arrived:
        case Target::pulling:
        case Target::broken:
        case Target::odd:
            break;
    }
    return once_settled(c, Owner::undecided, OwnershipAct::conflict, "the target is in a state that no move leads to");
}

Verdict judge_by_source(const Case& c) {
    switch (c.source) {
        case Source::running:
            return judge_running_source(c);
        case Source::paused:
            return judge_paused_source(c);
        case Source::switched:
            if (!c.rules.never_resume_after_switch && !is_live(c.target)) return resume(c);
            return judge_switched(c);
        case Source::off:
        case Source::absent:
        case Source::dead:
            return judge_ended_source(c);
        case Source::silent:
            return verdict(Owner::undecided, OwnershipAct::ask_again, "the source can't be asked");
        case Source::odd:
            break;
    }
    return once_settled(c, Owner::undecided, OwnershipAct::conflict, "the source is in a state that no move leads to");
}

/// The target runs, or has run: it owns the VM unless the source runs as well.
Verdict judge_takeover(const Case& c) {
    if (c.source == Source::running) return judge_running_source(c);
    if (c.source == Source::odd) return judge_by_source(c);
    if (c.target == Target::pulling || c.target == Target::broken) return judge_pull(c);
    return once_settled(c, Owner::target, OwnershipAct::adopt_target, "the target took the VM over");
}

/// The target was seen to run and adopted. Whatever became of it since, the source's copy is of the past.
Verdict judge_adopted(const Case& c) {
    switch (c.target) {
        case Target::running:
        case Target::arrived:
        case Target::off:
        case Target::dead:
            return clean_source(c);
        case Target::pulling:
        case Target::broken:
            return judge_pull(c);
        case Target::silent:
            return verdict(Owner::target, OwnershipAct::ask_again, "the target owns the VM and can't be asked");
        case Target::absent:
        case Target::incoming:
        case Target::odd:
            break;
    }
    return once_settled(c, Owner::undecided, OwnershipAct::conflict,
                        "the target owned the VM and has it no more: somebody removed it there");
}

bool takes_over(const Case& c) {
    if (c.target == Target::off)  // it ran and ended: it owns, unless the source's paused copy says that more was lost
        return c.source != Source::running && c.source != Source::paused && c.source != Source::switched &&
               c.source != Source::silent;
    return is_live(c.target) || c.target == Target::arrived ||
           (c.target == Target::incoming && !c.rules.adopt_only_what_took_over && c.source == Source::silent);
}

bool is_foreign(const SideSays& side, const JournalSays& journal) {
    return side.reach == Reach::answered && side.present && (side.foreign || side.epoch > journal.epoch);
}

/// The broken rule "silence is death", for the mutation test.
Reach as_ruled(Reach reach, const RuleSet& rules) {
    return reach == Reach::silent && !rules.silence_is_not_death ? Reach::confirmed_dead : reach;
}

Verdict judge_case(const Case& c) {
    if (c.journal.declared_lost)
        return judge_lost(c, c.journal.owner == Side::target ? Owner::target : Owner::source,
                          "an operator declared the running state lost");
    if (!c.journal.called && !is_live(c.target) && c.target != Target::arrived)
        return verdict(Owner::source, OwnershipAct::keep_source, "the migration was never called");
    const bool working = c.job_active && c.rules.wait_for_running_job;
    if (working && c.source != Source::switched && !is_live(c.target))
        return verdict(Owner::source, OwnershipAct::wait, "the migration runs");
    if (working && c.target == Target::running)
        return verdict(Owner::target, OwnershipAct::wait, "the target runs, the source's libvirtd ends the protocol");
    if (c.journal.owner == Side::target) return judge_adopted(c);
    if (takes_over(c)) return judge_takeover(c);
    return judge_by_source(c);
}

}  // namespace

bool may_yet_be_changed_by_a_call(const SourceSays& source, const TargetSays& target) {
    const Source from = classify(source);
    const Target to = classify(target);
    const bool source_gone = from == Source::off || from == Source::absent || from == Source::dead;
    return !(source_gone && (to == Target::pulling || to == Target::broken));
}

bool is_final(OwnershipAct act) {
    return act == OwnershipAct::keep_source || act == OwnershipAct::keep_target;
}

bool changes_a_host(OwnershipAct act) {
    switch (act) {
        case OwnershipAct::wait:
        case OwnershipAct::ask_again:
        case OwnershipAct::keep_source:
        case OwnershipAct::keep_target:
        case OwnershipAct::conflict:
            return false;
        case OwnershipAct::adopt_target:
        case OwnershipAct::resume_source:
        case OwnershipAct::end_target_copy:
        case OwnershipAct::end_source_copy:
        case OwnershipAct::undefine_source:
        case OwnershipAct::post_copy_recover:
        case OwnershipAct::restart_from_disk:
            return true;
    }
    std::unreachable();
}

Verdict judge(const SourceSays& source, const TargetSays& target, const JournalSays& journal, const RuleSet& rules) {
    if (is_foreign(source, journal) || is_foreign(target, journal))
        return {Owner::undecided, OwnershipAct::conflict,
                "a host holds a higher epoch or another cluster's stamp: only an operator may decide"};
    SourceSays source_says = source;
    TargetSays target_says = target;
    source_says.reach = as_ruled(source.reach, rules);
    target_says.reach = as_ruled(target.reach, rules);
    const bool asked = source_says.reach == Reach::answered && source_says.present;
    const Case c{.source = classify(source_says),
                 .target = classify(target_says),
                 .job_active = asked && source_says.job_active,
                 .post_copy_failed = asked && source_says.state == DomainState::postcopy_failed,
                 .journal = journal,
                 .rules = rules};
    return judge_case(c);
}

}  // namespace ballast::migration
