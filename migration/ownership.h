#pragma once
// Ownership of a VM that is (or was) moving between two hosts: SAFETY.md rules 2 to 5, 7 and 8 as one pure function of
// what the source says, what the target says and what the journal says. Decides who owns the VM and the one thing that
// may be done now; never acts, never guesses: what cannot be asked is unknown, and unknown ends in `ask_again`.
//
// What it builds on (libvirt 9.0, peer to peer, PERSIST_DEST | UNDEFINE_SOURCE; lab/README.md):
//  - The target is made persistent before its CPUs start. So a target without a persistent definition has never run,
//    and one that has a definition must be taken to have run, even if it is off now: its disk has moved on, and
//    resuming the source would put an old memory on a new disk.
//  - The source is removed only after the target has confirmed that it runs.
//  - A source that is paused with no job left is one whose libvirtd lost the end of the protocol; libvirt leaves it to
//    a third party to look at the target. That is this function.
//  - A target that never finished is ended by its own libvirtd once the source's connection is gone (auto-destroy). So
//    next to a paused or ended source an incoming copy is waited for, not ended: its finish may be on the way still.
// Readings of two hosts are never of one moment: nothing is ended or resumed unless `settled` (see JournalSays).
//
// One thing is not in Ballast's hands: where the answer of the target's finish step is lost, the source's own libvirtd
// may resume the source while the target runs. Ballast sees that as `conflict` and touches neither.

#include <cstdint>
#include <string>

#include <boost/describe/enum.hpp>

#include "core/job.h"
#include "core/vm.h"

namespace ballast::migration {

/// Whether a side could be asked. `silent`: not connected, or no answer in time: it may be doing anything.
/// `confirmed_dead`: an operator (later: fencing) has proven that it runs nothing (SAFETY.md 3).
enum class Reach : std::uint8_t { answered, silent, confirmed_dead };
BOOST_DESCRIBE_ENUM(Reach, answered, silent, confirmed_dead)

/// One host's answer about the VM's UUID.
struct SideSays {
    Reach reach = Reach::silent;
    bool present = false;  ///< a domain with the UUID exists there, active or not
    DomainState state = DomainState::unknown;
    bool persistent = false;  ///< it has a persistent definition there
    bool foreign = false;     ///< its stamp has another cluster's id
    std::uint64_t epoch = 0;  ///< of its stamp; 0: not stamped
    friend bool operator==(const SideSays&, const SideSays&) = default;
};

struct SourceSays : SideSays {
    bool job_active = false;  ///< a migration job runs on the domain (virDomainGetJobStats)
    friend bool operator==(const SourceSays&, const SourceSays&) = default;
};

struct TargetSays : SideSays {
    friend bool operator==(const TargetSays&, const TargetSays&) = default;
};

enum class Side : std::uint8_t { source, target };
BOOST_DESCRIBE_ENUM(Side, source, target)

struct JournalSays {
    bool called = false;               ///< the intent to call migrate is persisted
    bool may_have_switched = false;    ///< the intent to start post-copy is persisted, or a switch was seen
    bool target_seen_running = false;  ///< seen once: then the source is never resumed
    bool was_paused = false;     ///< the VM was paused by somebody before the move began: nothing is to be resumed
    bool declared_lost = false;  ///< an operator gave up the running state (SAFETY.md 4 iii)
    Side owner = Side::source;   ///< whom the store names; target once adopt_target is persisted
    std::uint64_t epoch = 0;     ///< of the store's owner; a higher one on a host is foreign (SAFETY.md 7)
    /// Both sides were read twice in turn (source, target, source, target) and said the same, with no call of ours on
    /// the domain still running that may change it. Only then may anything be ended, resumed or given up.
    bool settled = false;
    friend bool operator==(const JournalSays&, const JournalSays&) = default;
};

enum class Owner : std::uint8_t { source, target, undecided };
BOOST_DESCRIBE_ENUM(Owner, source, target, undecided)

/// The one thing that may be done now. After it has been done, both sides are read and judged again.
enum class OwnershipAct : std::uint8_t {
    wait,               ///< the hypervisors are at work: watch
    ask_again,          ///< not enough is known, or not twice: read both sides again
    keep_source,        ///< final: the source owns, nothing is left on the target
    keep_target,        ///< final: the target owns, nothing is left on the source
    adopt_target,       ///< persist the target as owner, raise the epoch, stamp it
    resume_source,      ///< the paused source runs on
    end_target_copy,    ///< destroy what is active on the target and remove its definition there
    end_source_copy,    ///< destroy the source's spent copy
    undefine_source,    ///< remove the source's stale definition
    post_copy_recover,  ///< migrate again with POSTCOPY_RESUME
    restart_from_disk,  ///< the running state is lost: end both remains, then start the VM from its disk
    conflict            ///< alert; nothing but an operator acts
};
BOOST_DESCRIBE_ENUM(OwnershipAct, wait, ask_again, keep_source, keep_target, adopt_target, resume_source,
                    end_target_copy, end_source_copy, undefine_source, post_copy_recover, restart_from_disk, conflict)

struct Verdict {
    Owner owner = Owner::undecided;
    OwnershipAct act = OwnershipAct::ask_again;
    std::string reason;  ///< what was seen and what follows, for the event and the operator
    friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// Whether the act is the end of the protocol (the job ends): keep_source, keep_target.
[[nodiscard]] bool is_final(OwnershipAct act);
/// Whether the act changes something on a host; its intent is persisted first (SAFETY.md 5).
[[nodiscard]] bool changes_a_host(OwnershipAct act);

/// The rules that the interleaving test breaks one by one to see that it would notice. Production code never sets one.
struct RuleSet {
    bool wait_for_running_job = true;
    bool act_only_when_settled = true;
    bool silence_is_not_death = true;
    bool never_resume_after_switch = true;
    bool never_resume_beside_a_target_that_may_run = true;
    bool never_resume_once_target_has_run = true;
    bool never_resume_beside_an_incoming = true;
    bool end_incoming_only_if_it_can_not_finish = true;
    bool end_source_only_if_target_took_over = true;
    bool adopt_only_what_took_over = true;
    bool two_running_copies_are_a_conflict = true;
};

/// Whether a migrate call that has not returned may still change what both sides say. Not where the source's QEMU is
/// gone while the target pulls: no memory can come any more, and the target's libvirtd (9.0) may wait for it for ever,
/// and our call with it.
[[nodiscard]] bool may_yet_be_changed_by_a_call(const SourceSays& source, const TargetSays& target);

[[nodiscard]] Verdict judge(const SourceSays& source, const TargetSays& target, const JournalSays& journal,
                            const RuleSet& rules = {});

}  // namespace ballast::migration
