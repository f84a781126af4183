#pragma once
// A small world for the ownership rules: two hosts with libvirtd and QEMU, their links, a daemon with its journal, and
// one VM that is being moved. Every state has its possible next steps; the test walks through all of them.
//
// What the model takes from libvirt 9.0 (peer to peer, PERSIST_DEST | UNDEFINE_SOURCE): the target is defined and its
// CPUs are started by the finish step in one go; a target that never finished is destroyed when its libvirtd restarts
// or the source's connection ends; a source libvirtd that restarts in the push phase cancels and runs on, after it
// leaves the VM paused. What it leaves out, as lab/README.md and ownership.h say: a lost answer of the finish step
// makes the source's own libvirtd resume (`libvirt_resumes_on_lost_answer` puts it in, for a test of its own), and a
// target that breaks in the milliseconds between the switch to post-copy and its finish is kept for recovery.
//
// Finish now and other limits (machine.h) need no step of their own: they only make the source stop for the last copy
// sooner or later, which it does here at any time. A VM that was paused before the move never switches, and somebody
// may resume it wherever it has arrived. A cancel and steering's abort are one act, persisted, then on its way, and may
// arrive late: in the last copy, after its end, or after somebody else's resume.

#include <cstdint>
#include <string>
#include <vector>

#include "migration/ownership.h"

namespace ballast::migration::model {

enum class SourceQemu : std::uint8_t { running, paused, switched, broken, off, absent };
/// arrived: defined, and its CPUs stand still, as those of a VM that was paused before do.
enum class TargetQemu : std::uint8_t { absent, incoming, running, pulling, broken, off, arrived };
enum class Job : std::uint8_t { none, push, wait, pull };  ///< of the source's libvirtd; wait: for the finish's answer
enum class Ended : std::uint8_t { no, on_source, on_target, restarted };

struct World {
    SourceQemu s = SourceQemu::running;
    TargetQemu t = TargetQemu::absent;
    bool s_host = true, t_host = true;
    bool s_libvirtd = true, t_libvirtd = true;
    bool s_dead = false, t_dead = false;  ///< confirmed by the operator
    bool peer_link = true, s_link = true, t_link = true;
    Job job = Job::none;
    bool was_paused = false;  ///< by somebody, before the move: nothing resumes it but somebody's hand
    bool declared_lost = false;
    bool call = true;  ///< the migrate call is on its way
    bool finish = false, answer = false, switch_call = false;
    bool abort_call = false;  ///< a cancel, or steering's abort, is on its way
    bool daemon = true;
    bool may_have_switched = false, owner_is_target = false, target_seen = false;  // the journal
    Ended ended = Ended::no;
    std::uint8_t seen_s = 0, seen_t = 0, reads = 0;  ///< what the daemon has read, and how often
    bool target_first = false;                       ///< which side it asked first: both are tried
    OwnershipAct act = OwnershipAct::wait;           ///< on its way to a host; wait: none
    bool act_is_ours = false;                        ///< the daemon that sent it still waits for it
    bool switched = false, target_ran = false;       ///< the truth
    std::uint8_t faults = 0;

    [[nodiscard]] std::uint64_t pack() const;
};

struct Edge {
    World to;
    const char* what = "";
    bool fault = false;
    std::string violation;  ///< what the step itself did wrong
};

struct Options {
    int faults = 2;
    bool libvirt_resumes_on_lost_answer = false;
    RuleSet rules;
    bool was_paused = false;  ///< the VM that is moved
};

[[nodiscard]] std::vector<Edge> steps_from(const World& world, const Options& options);
/// What must never be true of a state; empty: it is fine.
[[nodiscard]] std::string violation_of(const World& world);
/// The protocol has ended with one definite owner and nothing else that could run.
[[nodiscard]] bool is_settled_end(const World& world);

struct Exploration {
    std::size_t states = 0;
    std::string violation;           ///< the first one, with the path that leads to it
    std::size_t stuck = 0;           ///< states from which no fault-free path ends well
    std::string stuck_path;          ///< to the first of them
    std::size_t ends_on_source = 0;  ///< how often each end was reached: the walk must not be vacuous
    std::size_t ends_on_target = 0;
    std::size_t restarts = 0;
    std::size_t ends_paused = 0;     ///< of both, those with the VM as it was
    std::size_t conflicts_seen = 0;  ///< states with both copies running (only where libvirt is let to resume)
};

/// Breadth first over everything that can happen. Stops at the first violation.
[[nodiscard]] Exploration explore(const Options& options);

}  // namespace ballast::migration::model
