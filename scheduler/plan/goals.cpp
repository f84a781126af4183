#include "scheduler/plan/goals.h"

#include <algorithm>

#include "scheduler/balance/anneal.h"
#include "scheduler/plan/focus.h"

namespace ballast::scheduler::plan {
namespace {

constexpr std::size_t chains = 2;  ///< not the number of threads: the answer must not depend on these

Limits limits_of(const Model& model) {
    Limits limits;
    if (model.options.max_moves) limits.moves = *model.options.max_moves;
    limits.effort = model.options.effort > 0 ? model.options.effort : default_effort(model);
    return limits;
}

/// After the descent, that is: what it could not find by going only downwards.
std::uint64_t annealing_effort(const Model& model, std::uint64_t effort) {
    constexpr std::uint64_t most = 100'000;
    constexpr std::uint64_t for_each_pair = 30;
    return std::min({most, effort, for_each_pair * model.vms.size() * model.hosts.size()});
}

struct Found {
    Assignment at;
    double cost = 0;
    bool cut = false;
};

Found run_chain(const Model& model, const MoveCosts& costs, std::size_t chain, const balance::Stop& stop) {
    Ledger ledger(model, costs);
    Field field(model, ledger, model.homes());
    const Limits limits = limits_of(model);
    Descent descent(field, balance::Random(model.options.seed, chain), limits, stop);
    descent.run();
    if (descent.cut() || is_order(model.options.goal))  // an order is carried out, not improved upon
        return {field.assignment(), field.score() + field.paid(), descent.cut()};
    Focus focus(field);
    balance::SearchOptions options;
    options.max_moves = model.options.max_moves;
    options.seed = model.options.seed + 1;
    options.effort = annealing_effort(model, limits.effort);
    const auto best =
        balance::Annealer<Focus>(focus, options, chain).run(stop, focus.possible() && field.score() > least_cost);
    const Field end(model, ledger, best.at);
    return {best.at, end.score() + end.paid(), best.cut};
}

}  // namespace

std::uint64_t default_effort(const Model& model) {
    constexpr std::uint64_t least = 200'000;
    constexpr std::uint64_t for_each_vm = 400;
    return std::max(least, for_each_vm * model.vms.size());
}

Aim improve(const Model& model, const MoveCosts& costs, const balance::RunAll& run_all, const balance::Stop& stop) {
    std::vector<Found> found(chains);
    run_all(found.size(), [&](std::size_t chain) { found[chain] = run_chain(model, costs, chain, stop); });
    const auto best = std::ranges::min_element(found, {}, &Found::cost);
    const bool cut = std::ranges::any_of(found, &Found::cut);
    return {.at = best->at, .bundles = {}, .note = {}, .cut = cut};
}

std::vector<Index> mending_order(const Model& model) {
    std::vector<Index> order(model.vms.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
    std::ranges::sort(order, {}, [&](Index vm) {
        return std::tuple(!model.vms[pos(vm)].movable, model.memory_of(vm, model.vms[pos(vm)].home), vm);
    });
    return order;
}

std::map<Index, std::string> mark_broken(Model& model) {
    Replay replay(model);
    std::map<Index, std::string> broken;
    for (const Index vm : mending_order(model)) {
        const auto verdicts = replay.broken(vm);
        if (verdicts.empty()) continue;
        broken[vm] = fmt::format("{}: {}", verdicts.front().rule, verdicts.front().detail);
        model.vms[pos(vm)].must_leave = model.options.goal == Goal::repair || model.vms[pos(vm)].must_leave;
        replay.take_out(vm);
    }
    return broken;
}

}  // namespace ballast::scheduler::plan
