#include "daemon/jobs/rebalance/plans.h"

#include <algorithm>
#include <cmath>

#include "core/json_impl.h"
#include "core/try.h"
#include "daemon/jobs/submit.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(jobs::PlanAsk)
BALLAST_INSTANTIATE_JSON(jobs::RebalanceParams)
BALLAST_INSTANTIATE_JSON(jobs::RebalanceMemo)
BALLAST_INSTANTIATE_JSON(jobs::RebalanceResult)

namespace jobs {
namespace {

using scheduler::ClusterPlan;
using scheduler::Goal;
using scheduler::PlanStep;

constexpr Milliseconds longest_budget{50'000};  // a request is answered within a minute
constexpr int most_moves = 10'000;

std::string goal_text(Goal goal) {
    return boost::describe::enum_to_string(goal, "level");
}

Result<void> check(const PlanAsk& ask) {
    if (ask.max_moves && (*ask.max_moves < 1 || *ask.max_moves > most_moves))
        return fail(Code::invalid_argument, "max_moves: {} is not between 1 and {}", *ask.max_moves, most_moves);
    if (ask.margin && !(std::isfinite(*ask.margin) && *ask.margin >= 1))
        return fail(Code::invalid_argument, "margin: {} is no number of at least 1: a move must gain what it costs",
                    *ask.margin);
    if (ask.stay && *ask.stay < Seconds(1))
        return fail(Code::invalid_argument, "stay_s: {} leaves no time to gain anything; give at least 1 second",
                    ask.stay->count());
    if (ask.goal == Goal::evacuate && ask.hosts.empty())
        return fail(Code::invalid_argument, "hosts: evacuate needs the hosts that are to be emptied");
    if (ask.goal == Goal::defragment && !ask.big)
        return fail(Code::invalid_argument, "big: defragment needs the spec of the VM that is to fit afterwards");
    if (ask.big) return ballast::check(*ask.big);
    return {};
}

/// By name or id; "rack=r2": every host with that label.
Result<void> add_hosts(const Snapshot& snapshot, const std::string& name, std::vector<HostId>& hosts) {
    const auto equals = name.find('=');
    if (equals == std::string::npos) {
        BALLAST_TRY(const auto host, find_host(snapshot, name));
        hosts.push_back(host->id);
        return {};
    }
    const auto labelled = snapshot.hosts.select([&](const Host& host) {
        const auto at = host.settings.labels.find(name.substr(0, equals));
        return at != host.settings.labels.end() && at->second == name.substr(equals + 1);
    });
    if (labelled.empty()) return fail(Code::not_found, "no host has the label {}", name);
    for (const auto& host : labelled) hosts.push_back(host->id);
    return {};
}

/// Everything a plan's end changes.
void end_plan(store::Transaction& transaction, Plan plan, PlanStage stage, std::string reason) {
    plan.state = stage;
    plan.state_reason = std::move(reason);
    plan.finished = transaction.now();
    const std::string word = boost::describe::enum_to_string(stage, "ended");
    const std::string message = fmt::format("plan {} ({}) is {}: {}", plan.id, plan.goal, word, plan.state_reason);
    transaction.put(std::move(plan), {"plan." + word, message});
}

/// A clock that was set back makes a plan young, never old.
bool is_too_old(const Plan& plan, const BalanceSettings& settings, Timestamp now) {
    return now - plan.made > settings.plan_age;
}

bool waits(const Plan& plan) {
    return plan.state == PlanStage::advised || plan.state == PlanStage::approved;
}

/// Its job is gone or has ended, and did not say how.
bool is_left_behind(const Snapshot& snapshot, const Plan& plan) {
    if (plan.state != PlanStage::applying) return false;
    const Job* job = plan.job ? snapshot.jobs.find(*plan.job) : nullptr;
    return job == nullptr || is_finished(job->state);
}

Result<void> check_open(const Plan& plan, std::string_view doing) {
    if (waits(plan)) return {};
    const std::string word = boost::describe::enum_to_string(plan.state, "ended");
    return fail(Code::failed_precondition, "plan {} can't be {}: it is {}{}{}; make a new one with `ballast rebalance`",
                plan.id, doing, word, plan.state_reason.empty() ? "" : ": ", plan.state_reason);
}

/// Not one of its VMs is where it was planned to leave from.
bool is_overtaken(const Snapshot& snapshot, const ClusterPlan& plan) {
    return std::ranges::none_of(plan.steps, [&](const PlanStep& step) {
        const Vm* vm = snapshot.vms.find(step.vm);
        return vm != nullptr && vm->host == step.from;
    });
}

}  // namespace

Result<scheduler::PlanOptions> options_of(const Snapshot& snapshot, const PlanAsk& ask, const BalanceSettings& settings,
                                          Timestamp now) {
    BALLAST_CHECK(check(ask));
    scheduler::PlanOptions options;
    options.goal = ask.goal;
    for (const auto& name : ask.hosts) BALLAST_CHECK(add_hosts(snapshot, name, options.hosts));
    options.big = ask.big;
    options.max_moves = ask.max_moves;
    if (!options.max_moves && ask.goal != Goal::evacuate) options.max_moves = settings.max_moves;
    options.stay = ask.stay.value_or(settings.stay);
    options.margin = ask.margin.value_or(settings.margin);
    options.no_return = settings.no_return;
    options.moves_per_vm_hour = settings.moves_per_vm_hour;
    options.moves_per_host_hour = settings.moves_per_host_hour;
    options.warm_spares = settings.warm_spares;
    options.seed = ask.seed;
    options.now = now;
    return options;
}

Result<Milliseconds> budget_of(const PlanAsk& ask, const BalanceSettings& settings) {
    const Milliseconds budget = ask.budget.value_or(settings.budget);
    if (budget >= Milliseconds(1) && budget <= longest_budget) return budget;
    return fail(Code::invalid_argument, "budget_ms: {} is not between 1 and {}; without time nothing can be planned",
                budget.count(), longest_budget.count());
}

Plan make_plan_row(const PlanAsk& ask, const ClusterPlan& plan, std::string actor) {
    Plan row;
    row.goal = goal_text(plan.goal);
    row.actor = std::move(actor);
    row.options = {to_json_text(ask)};
    row.plan = {to_json_text(plan)};
    row.moves = static_cast<int>(plan.steps.size());
    row.verdict = plan.verdict;
    row.made = plan.made;
    return row;
}

Plan put_plan(store::Transaction& transaction, Plan row) {
    if (row.moves == 0) return row;
    row.id = PlanId(transaction.ids().sortable(transaction.now()));
    row.made = transaction.now();
    transaction.put(row, {"plan.advised", fmt::format("plan {} ({}): {}", row.id, row.goal, row.verdict)});
    return *transaction.snapshot().plans.find(row.id);
}

Result<ClusterPlan> moves_of(const Plan& row) {
    return parse_as<ClusterPlan>(row.plan.text, "plan");
}

Result<std::shared_ptr<const Plan>> find_plan(const Snapshot& snapshot, std::string_view id) {
    auto row = snapshot.plans.find_ptr(PlanId(std::string(id)));
    if (!row) return fail(Code::not_found, "no plan has the id '{}'; see `ballast plan list`", id);
    return row;
}

int asking_moves(const ClusterPlan& plan) {
    return static_cast<int>(std::ranges::count_if(plan.steps, &PlanStep::asks));
}

Result<Plan> approve_plan(store::Transaction& transaction, const PlanId& id) {
    BALLAST_TRY(const auto found, find_plan(transaction.snapshot(), id.str()));
    BALLAST_CHECK(check_open(*found, "approved"));
    if (found->state == PlanStage::approved) return *found;
    Plan plan = *found;
    plan.state = PlanStage::approved;
    plan.approved = transaction.now();
    plan.approved_by = transaction.context().actor;
    const std::string message = fmt::format("plan {} ({}) is approved by {}", plan.id, plan.goal, plan.approved_by);
    transaction.put(plan, {"plan.approved", message});
    return *transaction.snapshot().plans.find(id);
}

Result<Job> apply_plan(store::Transaction& transaction, const PlanId& id, const BalanceSettings& settings) {
    BALLAST_TRY(const auto found, find_plan(transaction.snapshot(), id.str()));
    BALLAST_CHECK(check_open(*found, "applied"));
    if (is_too_old(*found, settings, transaction.now()))
        return fail(Code::failed_precondition,
                    "plan {} is stale: it was made {} ago, plans count for {} (balance.plan_age); make a new one with "
                    "`ballast rebalance`",
                    id, to_string(Milliseconds(transaction.now() - found->made)), to_string(settings.plan_age));
    BALLAST_TRY(const auto moves, moves_of(*found));
    if (is_overtaken(transaction.snapshot(), moves))
        return fail(Code::failed_precondition,
                    "plan {} is stale: none of its VMs is where it was when the plan was made; make a new one with "
                    "`ballast rebalance`",
                    id);
    BALLAST_TRY(const Job job, submit(transaction, {.kind = "cluster.rebalance",
                                                    .vm = {},
                                                    .host = {},
                                                    .subject = found->goal,
                                                    .params = {to_json_text(RebalanceParams{.plan = id})}}));
    Plan plan = *found;
    plan.state = PlanStage::applying;
    plan.job = job.id;
    const std::string message = fmt::format("plan {} ({}) is carried out by job {}", plan.id, plan.goal, job.id);
    transaction.put(std::move(plan), {"plan.applying", message});
    return job;
}

Result<std::optional<Job>> cancel_plan(store::Transaction& transaction, const PlanId& id) {
    BALLAST_TRY(const auto found, find_plan(transaction.snapshot(), id.str()));
    if (found->state == PlanStage::applying && found->job) {
        BALLAST_TRY(const Job job, request_cancel(transaction, *found->job));
        return job;
    }
    BALLAST_CHECK(check_open(*found, "cancelled"));
    end_plan(transaction, *found, PlanStage::cancelled, "by " + transaction.context().actor);
    return std::optional<Job>{};
}

void expire_plan(store::Transaction& transaction, const Plan& plan, std::string reason) {
    end_plan(transaction, plan, PlanStage::expired, std::move(reason));
}

bool any_to_settle(const Snapshot& snapshot, const BalanceSettings& settings, Timestamp now) {
    return snapshot.plans.find_if([&](const Plan& plan) {
        return is_left_behind(snapshot, plan) || (waits(plan) && is_too_old(plan, settings, now));
    }) != nullptr;
}

Result<void> settle_plans(store::Transaction& transaction, const BalanceSettings& settings) {
    const auto plans = transaction.snapshot().plans.select([](const Plan& plan) { return !is_finished(plan.state); });
    for (const auto& plan : plans) {
        if (is_left_behind(transaction.snapshot(), *plan)) {
            const Job* job = transaction.snapshot().jobs.find(*plan->job);
            const bool cancelled = job != nullptr && job->state == JobState::cancelled;
            end_plan(transaction, *plan, cancelled ? PlanStage::cancelled : PlanStage::failed,
                     job != nullptr && job->error ? job->error->message : "its job is gone");
        } else if (waits(*plan) && is_too_old(*plan, settings, transaction.now())) {
            end_plan(transaction, *plan, PlanStage::expired,
                     fmt::format("nobody said yes within {}", to_string(settings.plan_age)));
        }
    }
    return {};
}

const Job* find_open_rebalance(const Snapshot& snapshot) {
    return snapshot.jobs.find_if(
        [](const Job& job) { return job.kind == "cluster.rebalance" && !is_finished(job.state); });
}

Result<std::string> check_rebalance(const Snapshot& snapshot, const RebalanceParams& params) {
    BALLAST_TRY(const auto plan, find_plan(snapshot, params.plan.str()));
    BALLAST_CHECK(check_open(*plan, "applied"));
    if (const Job* open = find_open_rebalance(snapshot); open != nullptr)
        return fail(Code::conflict,
                    "job {} carries out a plan ({}) already, and two at once would undo each other; see `ballast job "
                    "watch {}`",
                    open->id, open->subject, open->id);
    return plan->goal;
}

}  // namespace jobs

}  // namespace ballast
