// What a look at the rows makes of a plan that is being carried out. Pure; the job writes it down.
#include <algorithm>
#include <map>
#include <span>

#include "daemon/jobs/rebalance/plans.h"

namespace ballast::jobs {
namespace {

using scheduler::ClusterPlan;
using scheduler::PlanStep;

bool is_open(StepFate fate) {
    return fate == StepFate::waiting || fate == StepFate::queued;
}

/// A job that is gone from the store was pruned: then the VM's host tells how it ended.
void follow_job(const Snapshot& snapshot, const PlanStep& step, StepRun& run) {
    const Job* job = snapshot.jobs.find(run.job);
    if (job == nullptr) {
        const Vm* vm = snapshot.vms.find(step.vm);
        run.fate = vm != nullptr && vm->host == step.to ? StepFate::moved : StepFate::failed;
        if (run.fate == StepFate::failed) run.reason = "its job is gone from the history";
        return;
    }
    if (!is_finished(job->state)) return;
    run.reason = job->error ? job->error->message : "";
    run.fate = job->state == JobState::succeeded   ? StepFate::moved
               : job->state == JobState::cancelled ? StepFate::cancelled
                                                   : StepFate::failed;
}

/// One migration of a VM at a time; one that somebody else asked for is waited for, and judged by where it led.
bool is_moving(const Snapshot& snapshot, const VmId& vm) {
    return snapshot.jobs.find_if([&](const Job& job) {
        return job.kind == "vm.migrate" && job.vm == vm && !is_finished(job.state);
    }) != nullptr;
}

class Advance {
  public:
    Advance(const Snapshot& snapshot, const ClusterPlan& plan, RebalanceMemo memo, const AdvanceRules& rules)
        : snapshot_(snapshot), plan_(plan), rules_(rules) {
        out_.memo = std::move(memo);
    }

    Advanced go() && {
        for (StepRun& run : out_.memo.steps) {
            const PlanStep* step = find_step(run.number);
            if (step == nullptr) {
                skip(run, "the plan does not have it any more");
                continue;
            }
            if (run.fate == StepFate::queued) follow(*step, run);
            if (run.fate == StepFate::queued) count(*step);
        }
        for (StepRun& run : out_.memo.steps)
            if (run.fate == StepFate::waiting) consider(*find_step(run.number), run);
        return std::move(out_);
    }

  private:
    [[nodiscard]] const PlanStep* find_step(int number) const {
        const auto at = std::ranges::find(plan_.steps, number, &PlanStep::number);
        return at == plan_.steps.end() ? nullptr : &*at;
    }

    void count(const PlanStep& step) {
        ++leaving_[step.from];
        ++entering_[step.to];
    }

    /// A move that failed leaves the rest of its plan in doubt: what does not need it goes on, then it is planned
    /// again.
    void follow(const PlanStep& step, StepRun& run) {
        follow_job(snapshot_, step, run);
        if (run.fate == StepFate::failed || run.fate == StepFate::cancelled)
            ask_for_replan(run, run.fate == StepFate::failed ? "failed" : "was cancelled");
    }

    void ask_for_replan(const StepRun& run, std::string_view what) {
        if (out_.memo.replan.empty()) out_.memo.replan = fmt::format("the move of {} {}", run.name, what);
    }

    static void skip(StepRun& run, std::string reason) {
        run.fate = StepFate::skipped;
        run.reason = std::move(reason);
    }

    /// The step that this one waits for and that will not be made, or nullptr.
    [[nodiscard]] const StepRun* find_missing(const PlanStep& step) const {
        for (const int number : step.after) {
            const auto at = std::ranges::find(out_.memo.steps, number, &StepRun::number);
            if (at != out_.memo.steps.end() && !is_open(at->fate) && at->fate != StepFate::moved) return &*at;
        }
        return nullptr;
    }

    [[nodiscard]] bool must_wait(const PlanStep& step) const {
        const auto number_of = [](const std::map<HostId, int>& counts, const HostId& host) {
            const auto at = counts.find(host);
            return at == counts.end() ? 0 : at->second;
        };
        const bool before = std::ranges::any_of(step.after, [&](int number) {
            const auto at = std::ranges::find(out_.memo.steps, number, &StepRun::number);
            return at != out_.memo.steps.end() && is_open(at->fate);
        });
        return before || number_of(leaving_, step.from) >= rules_.outgoing ||
               number_of(entering_, step.to) >= rules_.incoming || is_moving(snapshot_, step.vm);
    }

    void consider(const PlanStep& step, StepRun& run) {
        if (rules_.cancelled) return skip(run, "the run was cancelled before its turn");
        if (step.asks && !rules_.asking)
            return skip(run, fmt::format("its policy `moves` is ask: nobody said yes (`ballast plan approve`, or "
                                         "`ballast vm migrate {}`)",
                                         run.name));
        if (const StepRun* missing = find_missing(step))
            return skip(run,
                        fmt::format("step {} ({}) had to come first and was not made", missing->number, missing->name));
        if (must_wait(step)) return;
        if (const auto may = rules_.check(snapshot_, plan_, step, rules_.known); !may) {
            skip(run, may.error().message());
            return ask_for_replan(run, "can't be made any more: " + may.error().message());
        }
        count(step);
        out_.ready.push_back(step.number);
    }

    const Snapshot& snapshot_;
    const ClusterPlan& plan_;
    const AdvanceRules& rules_;
    Advanced out_;
    std::map<HostId, int> leaving_;
    std::map<HostId, int> entering_;
};

/// A move may fail for what is over by the next one (this daemon died, a host was away for a moment), so a new plan
/// may try it once more, and not for ever.
constexpr std::ptrdiff_t most_attempts = 2;

std::ptrdiff_t failures(const RebalanceMemo& memo, const VmId& vm) {
    const auto failed = [&](const StepRun& run) { return run.vm == vm && run.fate == StepFate::failed; };
    return std::ranges::count_if(memo.steps, failed) + std::ranges::count_if(memo.earlier, failed);
}

}  // namespace

Advanced advance(const Snapshot& snapshot, const ClusterPlan& plan, RebalanceMemo memo, const AdvanceRules& rules) {
    return Advance(snapshot, plan, std::move(memo), rules).go();
}

RebalanceMemo begin_memo(const ClusterPlan& plan, const RebalanceMemo& before) {
    RebalanceMemo memo;
    memo.earlier = before.earlier;
    memo.earlier.insert(memo.earlier.end(), before.steps.begin(), before.steps.end());
    memo.replans = before.replans;
    for (const PlanStep& step : plan.steps) {
        StepRun run{.number = step.number,
                    .vm = step.vm,
                    .name = step.name,
                    .from = step.from_name,
                    .to = step.to_name,
                    .job = {},
                    .fate = StepFate::waiting,
                    .reason = {}};
        if (failures(before, step.vm) >= most_attempts) {
            run.fate = StepFate::skipped;
            run.reason = fmt::format("its move failed {} times in this run", most_attempts);
        }
        memo.steps.push_back(std::move(run));
    }
    return memo;
}

bool is_settled(const RebalanceMemo& memo) {
    return std::ranges::none_of(memo.steps, [](const StepRun& run) { return is_open(run.fate); });
}

/// A VM counts once, with the last that became of it: what a new plan moved in the end did not fail.
RebalanceResult result_of(const Plan& plan, const RebalanceMemo& memo) {
    RebalanceResult result{.plan = plan.id.str(),
                           .goal = plan.goal,
                           .moved = {},
                           .failed = {},
                           .cancelled = {},
                           .skipped = {},
                           .replans = memo.replans,
                           .may_power_off = {}};
    std::vector<StepRun> all = memo.earlier;
    all.insert(all.end(), memo.steps.begin(), memo.steps.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const StepRun& run = all[i];
        if (run.fate == StepFate::moved) {
            result.moved.push_back(run);
            continue;
        }
        const std::span<const StepRun> rest(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end());
        const auto later = [&](auto&& fits) {
            return std::ranges::any_of(rest, [&](const StepRun& one) { return one.vm == run.vm && fits(one.fate); });
        };
        const bool tried_again =
            later([](StepFate fate) { return fate == StepFate::moved || fate == StepFate::failed; });
        if (run.fate == StepFate::failed) {
            if (!tried_again) result.failed.push_back(run);
            continue;
        }
        if (!later([](StepFate) { return true; }) && failures(memo, run.vm) == 0)
            (run.fate == StepFate::cancelled ? result.cancelled : result.skipped).push_back(run);
    }
    return result;
}

}  // namespace ballast::jobs
