#include "scheduler/plan/planner.h"

#include <cmath>

#include "core/try.h"
#include "scheduler/plan/explain.h"
#include "scheduler/plan/goals.h"
#include "scheduler/plan/model.h"
#include "scheduler/plan/order.h"
#include "scheduler/plan/timing.h"

namespace ballast::scheduler {
namespace {

/// Searches after the first one, each without the moves that no order led to in the one before.
constexpr int search_rounds = 3;

Result<void> check_at_least(std::string_view option, std::int64_t value, std::int64_t least) {
    if (value >= least) return {};
    return fail(Code::invalid_argument, "{} is {}: it must be at least {}", option, value, least);
}

Result<void> check_goal(const PlanOptions& options) {
    if (options.goal == Goal::evacuate && options.hosts.empty())
        return fail(Code::invalid_argument, "evacuate needs hosts: name those that are to be emptied");
    if (options.goal != Goal::defragment) return {};
    if (!options.big)
        return fail(Code::invalid_argument,
                    "defragment needs big: the vCPUs and the memory that are to fit afterwards");
    return check(*options.big);
}

Result<void> check_options(const Snapshot& snapshot, const PlanOptions& options) {
    BALLAST_CHECK(check_goal(options));
    if (!std::isfinite(options.margin) || options.margin < 1)
        return fail(Code::invalid_argument,
                    "margin is {}: it must be a number of at least 1, or moves would be made that do not pay",
                    options.margin);
    BALLAST_CHECK(check_at_least("stay", options.stay.count(), 1));
    BALLAST_CHECK(check_at_least("no_return", options.no_return.count(), 0));
    BALLAST_CHECK(check_at_least("moves_per_vm_hour", options.moves_per_vm_hour, 0));
    BALLAST_CHECK(check_at_least("moves_per_host_hour", options.moves_per_host_hour, 0));
    BALLAST_CHECK(check_at_least("warm_spares", options.warm_spares, 0));
    BALLAST_CHECK(check_at_least("lanes_per_host", options.lanes_per_host, 1));
    if (options.max_moves) BALLAST_CHECK(check_at_least("max_moves", *options.max_moves, 0));
    for (const HostId& host : options.hosts) {
        const Host* row = snapshot.hosts.find(host);
        if (row == nullptr || row->state == HostState::removed)
            return fail(Code::invalid_argument, "no host has the id {}: `ballast host list` shows those that there are",
                        host);
    }
    return {};
}

plan::Aim aim_for(const plan::Model& model, const MoveCosts& costs, const balance::RunAll& run_all,
                  const balance::Stop& stop) {
    if (model.options.max_moves == 0) return {.at = model.homes(), .bundles = {}, .note = {}, .cut = false};
    switch (model.options.goal) {
        case Goal::level:
        case Goal::evacuate:
        case Goal::repair:
            return plan::improve(model, costs, run_all, stop);
        case Goal::consolidate:
            return plan::consolidate(model, costs, stop);
        case Goal::defragment:
            return plan::make_room(model, costs, stop);
    }
    std::unreachable();
}

/// A few moves that no order leads to are no reason to search anew.
bool often_stuck(const plan::Ordered& ordered) {
    return !ordered.stuck.empty() && ordered.stuck.size() * 10 >= ordered.moves.size();
}

}  // namespace

Result<ClusterPlan> plan_cluster(const Snapshot& snapshot, const ClusterLoad& load,
                                 const std::vector<RecentMove>& recent, const MoveCosts& costs,
                                 const PlanOptions& options, const balance::RunAll& run_all,
                                 const balance::Stop& stop) {
    BALLAST_CHECK(check_options(snapshot, options));
    BALLAST_TRY(plan::Model model, plan::make_model(snapshot, load, recent, options));
    const auto broken = plan::mark_broken(model);
    std::optional<plan::Spare> spare;  // an order may use it up: that is what it is for
    if (options.n_plus_one && !plan::is_order(options.goal)) spare.emplace(model);
    plan::Aim aim = aim_for(model, costs, run_all, stop);
    plan::Ledger ledger(model, costs);
    plan::Ordered ordered = plan::order_moves(model, ledger, aim.at, aim.bundles, spare);
    for (int round = 0; round < search_rounds && !aim.cut && often_stuck(ordered); ++round) {
        model.barred.insert(model.barred.end(), ordered.stuck.begin(), ordered.stuck.end());
        plan::Aim other = aim_for(model, costs, run_all, stop);
        plan::Ordered next = plan::order_moves(model, ledger, other.at, other.bundles, spare);
        const bool better = next.net(options.margin) > ordered.net(options.margin);
        ordered.stuck = next.stuck;
        if (!better) continue;
        aim = std::move(other);
        ordered = std::move(next);
    }

    ClusterPlan made;
    made.snapshot_seq = snapshot.seq;
    made.seed = options.seed;
    made.made = options.now;
    plan::explain({model, ledger, ordered.moves, broken, aim, spare}, made);
    made.expected = plan::schedule(made.steps, options.lanes_per_host);
    return made;
}

}  // namespace ballast::scheduler
