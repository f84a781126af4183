#pragma once
// Plans in the daemon: what is asked of the planner, how a plan becomes a row, who may say yes to it and when it may be
// carried out. kind "cluster.rebalance" (kinds/cluster_rebalance.cpp) carries it out. Decides nothing about VMs: the
// planner does (scheduler/plan/planner.h). Any thread; what takes a Transaction runs on the writer's.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/snapshot.h"
#include "daemon/jobs/rebalance/settings.h"
#include "daemon/store/store.h"
#include "scheduler/plan/planner.h"

namespace ballast::jobs {

/// The body of POST /api/v1/plans. What is left out is as the configuration's [balance] says.
struct PlanAsk {
    scheduler::Goal goal = scheduler::Goal::level;
    std::vector<std::string> hosts = {};  ///< names, ids or labels ("rack=r2"); level: only they are relieved
    std::optional<VmSpec> big = {};       ///< defragment: what is to fit afterwards
    std::optional<int> max_moves = {};
    std::optional<Milliseconds> budget = {};  ///< for the search
    std::optional<double> margin = {};        ///< gain / cost that a move must reach
    std::optional<Seconds> stay = {};         ///< over which a gain is counted
    std::uint64_t seed = 1;
    friend bool operator==(const PlanAsk&, const PlanAsk&) = default;
};
BOOST_DESCRIBE_STRUCT(PlanAsk, (), (goal, hosts, big, max_moves, budget, margin, stay, seed))

/// Errors: invalid_argument (a budget of 0, no host to evacuate, …), not_found (a host).
[[nodiscard]] Result<scheduler::PlanOptions> options_of(const Snapshot& snapshot, const PlanAsk& ask,
                                                        const BalanceSettings& settings, Timestamp now);
/// Errors: invalid_argument (0 or less).
[[nodiscard]] Result<Milliseconds> budget_of(const PlanAsk& ask, const BalanceSettings& settings);

/// The row of a plan, not in the store yet.
[[nodiscard]] Plan make_plan_row(const PlanAsk& ask, const scheduler::ClusterPlan& plan, std::string actor);
/// Gives it an id and puts it. A plan without a move is not kept: there is nothing to say yes to.
Plan put_plan(store::Transaction& transaction, Plan row);
[[nodiscard]] Result<scheduler::ClusterPlan> moves_of(const Plan& row);
[[nodiscard]] Result<std::shared_ptr<const Plan>> find_plan(const Snapshot& snapshot, std::string_view id);
/// How many of its VMs ask before they move.
[[nodiscard]] int asking_moves(const scheduler::ClusterPlan& plan);

/// A yes, also for the VMs that ask. Errors: not_found, failed_precondition (not advised).
[[nodiscard]] Result<Plan> approve_plan(store::Transaction& transaction, const PlanId& id);
/// Queues the job. Errors: not_found, failed_precondition (ended, too old, every move is overtaken), conflict (another
/// one runs: it is named).
[[nodiscard]] Result<Job> apply_plan(store::Transaction& transaction, const PlanId& id,
                                     const BalanceSettings& settings);
/// Ends a plan that waits; one that is applied is asked to stop: then the job is given. Errors: not_found,
/// failed_precondition (ended).
[[nodiscard]] Result<std::optional<Job>> cancel_plan(store::Transaction& transaction, const PlanId& id);
/// A recommendation that is out of date.
void expire_plan(store::Transaction& transaction, const Plan& plan, std::string reason);
/// Plans that nobody said yes to in time, and those whose job has ended without settling them.
Result<void> settle_plans(store::Transaction& transaction, const BalanceSettings& settings);
/// Whether settle_plans would change anything.
[[nodiscard]] bool any_to_settle(const Snapshot& snapshot, const BalanceSettings& settings, Timestamp now);

/// The cluster.rebalance that has not ended, or nullptr.
[[nodiscard]] const Job* find_open_rebalance(const Snapshot& snapshot);

/// Job::params of cluster.rebalance.
struct RebalanceParams {
    PlanId plan;
};
BOOST_DESCRIBE_STRUCT(RebalanceParams, (), (plan))

/// For submit. Errors: not_found, conflict (another one runs).
[[nodiscard]] Result<std::string> check_rebalance(const Snapshot& snapshot, const RebalanceParams& params);

/// What became of a step. waiting: for its turn. queued: its vm.migrate job is. skipped: it was not tried.
enum class StepFate : std::uint8_t { waiting, queued, moved, failed, cancelled, skipped };
BOOST_DESCRIBE_ENUM(StepFate, waiting, queued, moved, failed, cancelled, skipped)

struct StepRun {
    int number = 0;
    VmId vm;
    std::string name;
    std::string from;
    std::string to;
    JobId job;
    StepFate fate = StepFate::waiting;
    std::string reason;
    friend bool operator==(const StepRun&, const StepRun&) = default;
};
BOOST_DESCRIBE_STRUCT(StepRun, (), (number, vm, name, from, to, job, fate, reason))

/// Job::memo: the steps of the plan as its row has it now, and what became of those of the plans before it.
struct RebalanceMemo {
    std::vector<StepRun> steps;
    std::vector<StepRun> earlier;
    int replans = 0;
    std::string replan;  ///< why the rest is to be planned again; empty: it is not
    friend bool operator==(const RebalanceMemo&, const RebalanceMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(RebalanceMemo, (), (steps, earlier, replans, replan))

/// Job::result, also of one that failed or was cancelled.
struct RebalanceResult {
    std::string plan;
    std::string goal;
    std::vector<StepRun> moved;
    std::vector<StepRun> failed;
    std::vector<StepRun> cancelled;
    std::vector<StepRun> skipped;
    int replans = 0;
    std::vector<std::string> may_power_off;
    friend bool operator==(const RebalanceResult&, const RebalanceResult&) = default;
};
BOOST_DESCRIBE_STRUCT(RebalanceResult, (), (plan, goal, moved, failed, cancelled, skipped, replans, may_power_off))

/// check_step of the planner.
using StepCheck = std::function<Result<void>(const Snapshot&, const scheduler::ClusterPlan&, const scheduler::PlanStep&,
                                             const scheduler::Preferences&)>;

struct AdvanceRules {
    StepCheck check;
    scheduler::Preferences known = {};  ///< of VMs, for the check
    int outgoing = 2;                   ///< migrations at once, per host
    int incoming = 2;
    bool asking = false;     ///< somebody said yes for the VMs that ask
    bool cancelled = false;  ///< nothing new is begun
};

/// The memo after a look at the rows of this moment: jobs that ended, steps whose turn it is, steps that can't be made
/// any more. Pure. `ready`: numbers of the steps whose migrations are to be queued in the same transaction.
struct Advanced {
    RebalanceMemo memo;
    std::vector<int> ready;
};
[[nodiscard]] Advanced advance(const Snapshot& snapshot, const scheduler::ClusterPlan& plan, RebalanceMemo memo,
                               const AdvanceRules& rules);

/// The memo of a plan that begins, or of one that replaces it: VMs that failed before are not tried again.
[[nodiscard]] RebalanceMemo begin_memo(const scheduler::ClusterPlan& plan, const RebalanceMemo& before);
/// Nothing of it waits or moves.
[[nodiscard]] bool is_settled(const RebalanceMemo& memo);
[[nodiscard]] RebalanceResult result_of(const Plan& plan, const RebalanceMemo& memo);

}  // namespace ballast::jobs
