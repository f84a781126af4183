#include "scheduler/plan/explain.h"

#include <algorithm>

#include "scheduler/plan/bound.h"
#include "scheduler/plan/stays.h"

namespace ballast::scheduler::plan {
namespace {

constexpr double per_hour = 3600;

double share(double used, double of) {
    return of > 0 ? used / of : 0;
}

/// The VMs that break a rule where they are now, asked in the order of mark_broken(). Of a group that shares a host all
/// but one count.
int still_broken(const Outcome& outcome, Replay replay) {
    if (outcome.moves.empty()) return static_cast<int>(outcome.broken.size());
    int count = 0;
    for (const Index vm : mending_order(outcome.model)) {
        if (replay.broken(vm).empty()) continue;
        replay.take_out(vm);
        ++count;
    }
    return count;
}

PlanState state_of(const Model& model, const Field& field, double bound, int broken) {
    PlanState state;
    state.contention_s = model.span > 0 ? field.contention() * per_hour / model.span : 0;
    state.lower_bound_s = model.span > 0 ? bound * per_hour / model.span : 0;
    state.broken_rules = broken;
    for (std::size_t h = 0; h < model.hosts.size(); ++h) {
        const auto host = static_cast<Index>(h);
        const HostRow& row = model.hosts[h];
        const double memory =
            share(static_cast<double>(row.memory - field.free_memory(host)), static_cast<double>(row.memory));
        if (state.fullest_host.empty() || memory > state.fullest_memory) {
            state.fullest_memory = memory;
            state.fullest_host = row.row->name;
        }
        state.fullest_cpu = std::max(state.fullest_cpu, share(field.cpu_mean(host), row.cores));
        if (field.vms_on(host).empty() && row.kept == 0) ++state.empty_hosts;
    }
    return state;
}

class Report {
  public:
    Report(const Outcome& outcome, ClusterPlan& plan)
        : out_(outcome),
          model_(outcome.model),
          plan_(plan),
          before_(outcome.model, outcome.ledger, outcome.model.homes()),
          after_(outcome.model, outcome.ledger, outcome.model.homes()),
          replay_(outcome.model) {}

    void write() {
        replay_.keep(out_.spare);
        for (const Move& move : out_.moves) {
            add_step(move);
            after_.make_shift(move.vm, move.to);
            static_cast<void>(replay_.make(move.vm, move.to));
        }
        for (const PlanStep& step : plan_.steps) {
            plan_.gain_s += step.gain_s;
            plan_.cost_s += step.cost_s;
        }
        const double bound = lower_bound(model_);
        plan_.before = state_of(model_, before_, bound, static_cast<int>(out_.broken.size()));
        plan_.after = state_of(model_, after_, bound, still_broken(out_, replay_));
        name_emptied();
        Stays stays(model_, out_.ledger, after_, replay_);
        plan_.stays = stays.of_goal(still_to_mend());
        plan_.verdict = verdict(stays);
    }

  private:
    [[nodiscard]] const std::string& name(Index host) const { return model_.hosts[pos(host)].row->name; }

    void add_step(const Move& move) {
        const VmRow& vm = model_.vms[pos(move.vm)];
        PlanStep step;
        step.number = static_cast<int>(plan_.steps.size()) + 1;
        step.vm = vm.row->id;
        step.name = vm.row->name;
        step.from = model_.hosts[pos(move.from)].row->id;
        step.to = model_.hosts[pos(move.to)].row->id;
        step.from_name = name(move.from);
        step.to_name = name(move.to);
        for (const int before : move.after) step.after.push_back(before + 1);
        step.temporary = move.temporary;
        step.asks = vm.row->spec.moves == MovePolicy::ask;
        step.reason = reason(move);
        step.gain_s = move.gain;
        step.cost_s = move.cost;
        step.expected = std::max(Milliseconds(0), move.forecast.total);
        step.proof = move.proof;
        step.vm_revision = vm.row->revision;
        plan_.steps.push_back(std::move(step));
    }

    [[nodiscard]] std::string reason(const Move& move) const {
        if (move.temporary)
            return fmt::format("a temporary place: {} and others wait for each other's room", name(move.to));
        const bool pays = move.gain >= model_.options.margin * move.cost;
        switch (model_.options.goal) {
            case Goal::evacuate:
                if (model_.hosts[pos(model_.vms[pos(move.vm)].home)].drained)
                    return fmt::format("{} is emptied", name(move.from));
                break;
            case Goal::consolidate:
                return fmt::format("{} can be powered off", name(move.from));
            case Goal::defragment:
                return fmt::format("makes room on {} for {} vCPUs and {}", name(move.from), model_.options.big->vcpus,
                                   model_.options.big->memory);
            case Goal::repair:
                if (const auto rule = out_.broken.find(move.vm); rule != out_.broken.end())
                    return fmt::format("breaks {} on {}", rule->second, name(move.from));
                break;
            case Goal::level:
                break;
        }
        if (!pays) return fmt::format("makes room on {} for others", name(move.from));
        return fmt::format("{} is expected to use {:.1f} of {:.0f} cores, {} {:.1f} of {:.0f}", name(move.from),
                           after_.cpu_mean(move.from), model_.hosts[pos(move.from)].cores, name(move.to),
                           after_.cpu_mean(move.to), model_.hosts[pos(move.to)].cores);
    }

    /// Evacuated hosts, or, when consolidating, those that need not stay powered.
    void name_emptied() {
        for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
            const auto host = static_cast<Index>(h);
            const HostRow& row = model_.hosts[h];
            if (!after_.vms_on(host).empty() || row.kept > 0) continue;
            if (row.drained || std::ranges::find(out_.aim.off, host) != out_.aim.off.end())
                plan_.emptied.push_back(row.row->name);
        }
    }

    [[nodiscard]] std::map<Index, std::string> still_to_mend() const {
        std::map<Index, std::string> left;
        for (const auto& [vm, rule] : out_.broken)
            if (after_.is_home(vm)) left[vm] = rule;
        return left;
    }

    [[nodiscard]] std::string verdict(const Stays& stays) const {
        const std::string cut = out_.aim.cut ? "; the time budget ended the search" : "";
        if (plan_.steps.empty()) return nothing(stays) + cut;
        const std::string moves = fmt::format("{} {}", plan_.steps.size(), plan_.steps.size() == 1 ? "move" : "moves");
        const std::string stay =
            plan_.stays.empty() || !is_order(plan_.goal) ? "" : fmt::format("; {} VMs stay", plan_.stays.size());
        switch (plan_.goal) {
            case Goal::level:
                return fmt::format("{} gain {:.0f} s for {:.0f} s{}", moves, plan_.gain_s, plan_.cost_s, cut);
            case Goal::consolidate:
                return fmt::format("{} let {} hosts be powered off for {:.0f} s{}", moves, plan_.emptied.size(),
                                   plan_.cost_s, cut);
            case Goal::evacuate:
                return fmt::format("{} empty {} of {} hosts for {:.0f} s{}{}", moves, plan_.emptied.size(),
                                   model_.options.hosts.size(), plan_.cost_s, stay, cut);
            case Goal::defragment:
                return fmt::format("{} make room on {} for {:.0f} s{}", moves, plan_.steps.back().from_name,
                                   plan_.cost_s, cut);
            case Goal::repair:
                return fmt::format("{} mend {} of {} broken rules for {:.0f} s{}{}", moves,
                                   plan_.before.broken_rules - plan_.after.broken_rules, plan_.before.broken_rules,
                                   plan_.cost_s, stay, cut);
        }
        std::unreachable();
    }

    [[nodiscard]] std::string nothing(const Stays& stays) const {
        if (model_.hosts.empty()) return "nothing to do: the cluster has no hosts";
        if (model_.vms.empty()) return "nothing to do: no VM runs";
        if (model_.options.max_moves == 0) return "nothing is moved: max_moves is 0";
        if (!out_.aim.note.empty()) return out_.aim.note;
        if (is_order(plan_.goal) && !plan_.stays.empty())
            return fmt::format("nothing can be moved: {} VMs stay, {} because {}", plan_.stays.size(),
                               plan_.stays.front().name, plan_.stays.front().reason);
        switch (plan_.goal) {
            case Goal::evacuate:
                return "nothing to do: no VM runs on these hosts";
            case Goal::repair:
                return "nothing to do: no rule is broken";
            case Goal::consolidate:
                return "nothing worth moving: no host can be emptied and its VMs fit elsewhere at their peak";
            case Goal::defragment:
                return "nothing can be moved: no order of moves makes that room";
            case Goal::level:
                return stays.best_refused();
        }
        std::unreachable();
    }

    const Outcome& out_;
    const Model& model_;
    ClusterPlan& plan_;
    Field before_;
    Field after_;
    Replay replay_;
};

}  // namespace

void explain(const Outcome& outcome, ClusterPlan& plan) {
    plan.goal = outcome.model.options.goal;
    plan.cut = outcome.aim.cut;
    Report(outcome, plan).write();
}

}  // namespace ballast::scheduler::plan
