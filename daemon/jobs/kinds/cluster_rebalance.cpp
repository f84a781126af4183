// cluster.rebalance: carries a plan out, step by step. Each step is judged on the rows of the transaction that queues
// its vm.migrate job; those jobs do the work, so that one that fails stops no other that does not need it. When reality
// has moved away from the plan, what is left of it is planned again. It moves nothing itself: after a restart its memo
// names the jobs, which the engine takes up on their own.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/crash_point.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/rebalance/plan_desk.h"
#include "daemon/jobs/submit.h"

namespace ballast::jobs {
namespace {

using scheduler::ClusterPlan;
using scheduler::PlanStep;

constexpr Milliseconds look_again{1'000};

struct Now {
    std::shared_ptr<const Plan> row;
    ClusterPlan plan;
    RebalanceMemo memo;
};

Result<Now> read_now(const Snapshot& snapshot, const JobId& id) {
    const Job* job = snapshot.jobs.find(id);
    if (job == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    BALLAST_TRY(const auto params, parse_as<RebalanceParams>(job->params.text, "params"));
    Now now;
    BALLAST_TRY(now.row, find_plan(snapshot, params.plan.str()));
    BALLAST_TRY(now.plan, moves_of(*now.row));
    if (job->memo.text == "null" || job->memo.text.empty()) {
        now.memo = begin_memo(now.plan, {});
        return now;
    }
    BALLAST_TRY(now.memo, parse_as<RebalanceMemo>(job->memo.text, "memo"));
    return now;
}

AdvanceRules rules_of(const Services& services, const Snapshot& snapshot, const JobId& id, const Plan& plan,
                      scheduler::Preferences known) {
    const Job* job = snapshot.jobs.find(id);
    return {.check = services.plans->check(),
            .known = std::move(known),
            .outgoing = services.settings.outgoing_migrations,
            .incoming = services.settings.incoming_migrations,
            .asking = plan.approved.has_value(),
            .cancelled = job != nullptr && job->cancel_requested};
}

void queue_step(store::Transaction& transaction, const PlanStep& step, StepRun& run) {
    VmMigrateParams params;
    params.to = step.to.str();
    const auto job = submit(
        transaction,
        {.kind = "vm.migrate", .vm = step.vm, .host = {}, .subject = step.name, .params = {to_json_text(params)}});
    if (job) {
        run.fate = StepFate::queued;
        run.job = job->id;
    } else {
        run.fate = StepFate::failed;
        run.reason = job.error().message();
    }
}

/// Those whose migrations have not begun are asked to stop; what moves is moved to its end.
Result<void> call_off(store::Transaction& transaction, const RebalanceMemo& memo) {
    for (const StepRun& run : memo.steps) {
        const Job* child = transaction.snapshot().jobs.find(run.job);
        const bool begun = transaction.snapshot().migrations.find(run.job) != nullptr;
        if (run.fate != StepFate::queued || child == nullptr || is_finished(child->state) || begun) continue;
        if (!child->cancel_requested) BALLAST_CHECK(request_cancel(transaction, run.job));
    }
    return {};
}

/// A look, and what follows from it, in one transaction: a step is never queued twice.
Result<void> go_forward(store::Transaction& transaction, const Services& services, const JobId& id,
                        const scheduler::Preferences& known) {
    BALLAST_TRY(auto now, read_now(transaction.snapshot(), id));
    const auto rules = rules_of(services, transaction.snapshot(), id, *now.row, known);
    auto next = advance(transaction.snapshot(), now.plan, now.memo, rules);
    for (const int number : next.ready) {
        const auto step = std::ranges::find(now.plan.steps, number, &PlanStep::number);
        const auto run = std::ranges::find(next.memo.steps, number, &StepRun::number);
        queue_step(transaction, *step, *run);
    }
    if (rules.cancelled) BALLAST_CHECK(call_off(transaction, next.memo));
    return keep_memo(transaction, id, to_json_text(next.memo));
}

/// Looked at without a transaction first: mostly there is nothing to write.
bool has_news(const Services& services, const Snapshot& snapshot, const JobId& id, const Now& now) {
    const auto rules = rules_of(services, snapshot, id, *now.row, services.preferences());
    const auto next = advance(snapshot, now.plan, now.memo, rules);
    const Job* job = snapshot.jobs.find(id);
    const bool to_call_off = rules.cancelled && std::ranges::any_of(now.memo.steps, [&](const StepRun& run) {
                                 const Job* child =
                                     run.fate == StepFate::queued ? snapshot.jobs.find(run.job) : nullptr;
                                 return child != nullptr && !child->cancel_requested && !is_finished(child->state) &&
                                        snapshot.migrations.find(run.job) == nullptr;
                             });
    return job == nullptr || job->memo.text == "null" || !next.ready.empty() || next.memo != now.memo || to_call_off;
}

int moved_of(const RebalanceMemo& memo) {
    return static_cast<int>(std::ranges::count(memo.steps, StepFate::moved, &StepRun::fate));
}

void report(Run& run, const RebalanceMemo& memo) {
    const auto count = [&](StepFate fate) { return std::ranges::count(memo.steps, fate, &StepRun::fate); };
    const auto open = count(StepFate::waiting) + count(StepFate::queued);
    const auto total = static_cast<std::ptrdiff_t>(memo.steps.size());
    std::string text = fmt::format("{} of {} moves made", moved_of(memo), total);
    if (const auto failed = count(StepFate::failed); failed > 0) text += fmt::format(", {} failed", failed);
    if (const auto skipped = count(StepFate::skipped); skipped > 0) text += fmt::format(", {} left out", skipped);
    text += fmt::format(", {} moving or queued, {} waiting", count(StepFate::queued), count(StepFate::waiting));
    const Json data{{"moved", moved_of(memo)},
                    {"failed", count(StepFate::failed)},
                    {"skipped", count(StepFate::skipped)},
                    {"waiting", count(StepFate::waiting)},
                    {"queued", count(StepFate::queued)},
                    {"replans", memo.replans},
                    {"total", total}};
    run.report(total == 0 ? 100 : static_cast<int>((total - open) * 100 / total), text, &data);
}

/// Until nothing of the plan waits or moves. Errors: those of the store.
Task<> carry_out(RunPtr run) {
    for (;;) {
        const auto snapshot = run->snapshot();
        BALLAST_CO_TRY(const auto now, read_now(*snapshot, run->id()));
        report(*run, now.memo);
        if (!has_news(run->services(), *snapshot, run->id(), now)) {
            if (is_settled(now.memo)) co_return Result<void>{};
            BALLAST_CO_CHECK(co_await run->pause(look_again));
            continue;
        }
        BALLAST_CO_CHECK(co_await run->commit([services = run->services(), id = run->id(),
                                               known = run->services().preferences()](store::Transaction& transaction) {
            return go_forward(transaction, services, id, known);
        }));
        crash_point("cluster.rebalance.advanced");
    }
}

/// The new moves take the place of the old ones in the plan's row; what was asked for stays.
Result<void> replace_moves(store::Transaction& transaction, const JobId& id, const ClusterPlan& fresh) {
    BALLAST_TRY(const auto now, read_now(transaction.snapshot(), id));
    RebalanceMemo memo = begin_memo(fresh, now.memo);
    ++memo.replans;
    Plan row = *now.row;
    row.plan = {to_json_text(fresh)};
    const std::string message = fmt::format("plan {} ({}): {}; the rest is planned again: {}", row.id, row.goal,
                                            now.memo.replan, fresh.verdict);
    transaction.put(std::move(row), {"plan.replanned", message});
    return keep_memo(transaction, id, to_json_text(memo));
}

/// Whether there is a new plan for the rest. A plan that can't be made leaves it as it is: what was moved is moved.
Task<bool> plan_again(RunPtr run) {
    BALLAST_CO_TRY(const auto now, read_now(*run->snapshot(), run->id()));
    const bool wanted = !now.memo.replan.empty() && !run->cancel_requested();
    if (!wanted || now.memo.replans >= run->services().settings.balance.replans) co_return false;
    BALLAST_CO_TRY(const auto ask, parse_as<PlanAsk>(now.row->options.text, "options"));
    run->report(50, fmt::format("{}; planning the rest again", now.memo.replan));
    const auto fresh = co_await run->services().plans->make(ask);
    if (!fresh || fresh->steps.empty()) co_return false;
    BALLAST_CO_CHECK(co_await run->commit([id = run->id(), fresh = *fresh](store::Transaction& transaction) {
        return replace_moves(transaction, id, fresh);
    }));
    crash_point("cluster.rebalance.replanned");
    co_return true;
}

/// Nothing runs there, nothing is defined there that Ballast knows of, nothing is on its way.
bool is_empty(const Snapshot& snapshot, const HostId& host) {
    const bool used = snapshot.vms.find_if([&](const Vm& vm) {
        return vm.host == host || std::ranges::any_of(vm.definitions, [&](const Definition& definition) {
                   return definition.host == host && is_active(definition.state);
               });
    }) != nullptr;
    return !used && snapshot.claims.find_if([&](const Claim& claim) { return claim.host == host; }) == nullptr;
}

/// Hosts that the plan has emptied are handed over: what powers them off is not Ballast's.
std::vector<std::string> hand_over(store::Transaction& transaction, const Now& now) {
    std::vector<std::string> names;
    for (const auto& name : now.plan.emptied) {
        const auto host = find_host(transaction.snapshot(), name);
        if (!host || !is_empty(transaction.snapshot(), (*host)->id)) continue;
        names.push_back((*host)->name);
        Event event;
        event.kind = "host.may_power_off";
        event.subject_kind = "host";
        event.subject_id = (*host)->id.str();
        event.subject_name = (*host)->name;
        event.message = fmt::format("host {} may be powered off: plan {} ({}) has emptied it and {}", (*host)->name,
                                    now.row->id, now.row->goal, now.plan.verdict);
        transaction.emit(std::move(event));
    }
    return names;
}

PlanStage stage_of(const RebalanceResult& result, bool cancelled) {
    if (cancelled) return PlanStage::cancelled;
    return result.failed.empty() && result.cancelled.empty() ? PlanStage::applied : PlanStage::failed;
}

std::string summary(const RebalanceResult& result) {
    std::string text = fmt::format("{} moved", result.moved.size());
    if (!result.failed.empty()) text += fmt::format(", {} failed", result.failed.size());
    if (!result.cancelled.empty()) text += fmt::format(", {} cancelled", result.cancelled.size());
    if (!result.skipped.empty()) text += fmt::format(", {} left out", result.skipped.size());
    if (result.replans > 0) text += fmt::format(", the rest planned again {} times", result.replans);
    return text;
}

/// Result and plan stand in their rows whatever the job's end is called.
Result<void> keep_result(store::Transaction& transaction, const JobId& id) {
    BALLAST_TRY(const auto now, read_now(transaction.snapshot(), id));
    const bool cancelled = transaction.snapshot().jobs.find(id)->cancel_requested;
    RebalanceResult result = result_of(*now.row, now.memo);
    result.may_power_off = hand_over(transaction, now);
    Plan row = *now.row;
    row.state = stage_of(result, cancelled);
    row.state_reason = summary(result);
    row.finished = transaction.now();
    const std::string kind = "plan." + to_json(row.state).get<std::string>();
    transaction.put(row, {kind, fmt::format("plan {} ({}): {}", row.id, row.goal, row.state_reason)});
    Job job = *transaction.snapshot().jobs.find(id);
    job.result = JsonText{to_json_text(result)};
    transaction.put(std::move(job), {"cluster.rebalanced", fmt::format("{}: {}", row.goal, row.state_reason)});
    return {};
}

Result<Json> outcome_of(const RebalanceResult& result, bool cancelled) {
    if (cancelled) return fail(Code::cancelled, "the rebalance ({}) was cancelled: {}", result.goal, summary(result));
    if (result.failed.empty() && result.cancelled.empty()) return to_json(result);
    std::vector<std::string> reasons;
    for (const auto* list : {&result.failed, &result.cancelled})
        for (const auto& run : *list) reasons.push_back(fmt::format("{} to {}: {}", run.name, run.to, run.reason));
    return fail(Code::failed_precondition, "not every move was made ({}): {}", summary(result),
                fmt::join(reasons, "; "));
}

}  // namespace

Task<Json> rebalance_cluster(RunPtr run) {
    if (!run->services().plans) co_return fail(Code::unavailable, "this daemon makes no plans");
    while (!run->is_done("result")) {
        BALLAST_CO_CHECK(co_await carry_out(run));
        BALLAST_CO_TRY(const bool again, co_await plan_again(run));
        if (again) continue;
        BALLAST_CO_CHECK(co_await run->done(
            "result", {}, [id = run->id()](store::Transaction& transaction) { return keep_result(transaction, id); }));
    }
    const auto row = run->row();
    BALLAST_CO_TRY(const auto result, parse_as<RebalanceResult>(row->result.text, "result"));
    const auto plan = run->snapshot()->plans.find_ptr(PlanId(result.plan));
    co_return outcome_of(result, plan != nullptr && plan->state == PlanStage::cancelled);
}

}  // namespace ballast::jobs
