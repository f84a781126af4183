#pragma once
// A plan: which VMs move where, in which order, why, what each move gains and costs in seconds, and what must still
// hold when a step is made. A value that loads from and saves to JSON: the API gives it, the CLI prints it, a job
// carries it out, a what-if answers with it. Decides nothing (planner.h does).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/snapshot.h"

namespace ballast::scheduler {

/// level: relieve contention. consolidate: empty hosts. evacuate: empty these hosts. defragment: make room for one big
/// VM. repair: end broken rules.
enum class Goal : std::uint8_t { level, consolidate, evacuate, defragment, repair };
BOOST_DESCRIBE_ENUM(Goal, level, consolidate, evacuate, defragment, repair)

/// Room on the target while the VM is in both places, and after.
struct StepProof {
    Bytes target_free_before;
    Bytes target_free_after;  ///< double memory during the move and sharing that is lost counted
    std::string rules;        ///< "11 rules hold", or the one that is relaxed
    friend bool operator==(const StepProof&, const StepProof&) = default;
};
BOOST_DESCRIBE_STRUCT(StepProof, (), (target_free_before, target_free_after, rules))

struct PlanStep {
    int number = 0;  ///< from 1
    VmId vm;
    std::string name;
    HostId from;
    HostId to;
    std::string from_name;
    std::string to_name;
    std::vector<int> after;  ///< steps that must have ended before; those that wait for none run side by side
    bool temporary = false;  ///< to break a circle: the VM moves on in a later step
    bool asks = false;       ///< its policy `moves` is ask: it waits for a yes
    std::string reason;
    double gain_s = 0;         ///< contention relieved over the expected stay, seconds
    double cost_s = 0;         ///< of the migration, seconds
    Milliseconds expected{0};  ///< length of the migration
    Milliseconds begins{0};    ///< after the plan's begin, as the lanes allow
    StepProof proof;
    std::uint64_t vm_revision = 0;  ///< guard: the VM's spec is still this one, and it still runs on `from`
    friend bool operator==(const PlanStep&, const PlanStep&) = default;
};
BOOST_DESCRIBE_STRUCT(PlanStep, (),
                      (number, vm, name, from, to, from_name, to_name, after, temporary, asks, reason, gain_s, cost_s,
                       expected, begins, proof, vm_revision))

struct PlanStay {
    VmId vm;
    std::string name;
    std::string host;
    std::string reason;  ///< why it is not moved although the goal would have it
    friend bool operator==(const PlanStay&, const PlanStay&) = default;
};
BOOST_DESCRIBE_STRUCT(PlanStay, (), (vm, name, host, reason))

/// What the cluster is like before or after.
struct PlanState {
    double contention_s = 0;    ///< expected seconds of contention per hour, all hosts
    double lower_bound_s = 0;   ///< no placement of these VMs has less
    double fullest_memory = 0;  ///< share of its usable memory that the fullest host has promised
    double fullest_cpu = 0;     ///< expected use of the busiest host, share of its cores
    std::string fullest_host;
    int empty_hosts = 0;
    int broken_rules = 0;
    friend bool operator==(const PlanState&, const PlanState&) = default;
};
BOOST_DESCRIBE_STRUCT(PlanState, (),
                      (contention_s, lower_bound_s, fullest_memory, fullest_cpu, fullest_host, empty_hosts,
                       broken_rules))

struct ClusterPlan {
    Goal goal = Goal::level;
    std::uint64_t snapshot_seq = 0;
    std::uint64_t seed = 0;
    std::vector<PlanStep> steps;
    std::vector<PlanStay> stays;
    PlanState before;
    PlanState after;
    double gain_s = 0;
    double cost_s = 0;
    Milliseconds expected{0};          ///< of the whole
    std::vector<std::string> emptied;  ///< hosts that may be powered off afterwards
    std::string verdict;               ///< one sentence: "nothing worth moving: …", "7 moves gain 410 s for 38 s"
    bool cut = false;                  ///< the time budget ended the search
    Timestamp made;
    friend bool operator==(const ClusterPlan&, const ClusterPlan&) = default;
};
BOOST_DESCRIBE_STRUCT(ClusterPlan, (),
                      (goal, snapshot_seq, seed, steps, stays, before, after, gain_s, cost_s, expected, emptied,
                       verdict, cut, made))

}  // namespace ballast::scheduler
