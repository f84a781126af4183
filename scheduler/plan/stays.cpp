#include "scheduler/plan/stays.h"

#include <algorithm>

#include "scheduler/rules/rule.h"

namespace ballast::scheduler::plan {
namespace {

constexpr std::size_t targets_asked = 64;   ///< for the best move that is not made
constexpr std::size_t explained_max = 100;  ///< VMs for which every host's rules are asked
constexpr std::size_t reasons_named = 3;
constexpr std::size_t others_named = 20;  ///< VMs that stay though a move would relieve a little

}  // namespace

Stays::Stays(const Model& model, Ledger& ledger, const Field& field, const Replay& replay)
    : model_(model), ledger_(ledger), field_(field), replay_(replay) {}

std::vector<PlanStay> Stays::of_goal(const std::map<Index, std::string>& broken) {
    switch (model_.options.goal) {
        case Goal::level:
            of_level();
            break;
        case Goal::evacuate:
            of_drained();
            break;
        case Goal::repair:
            for (const auto& [vm, rule] : broken) add(vm, fmt::format("breaks {}, but {}", rule, why(vm)));
            break;
        case Goal::consolidate:
            of_pinned_alone();
            break;
        case Goal::defragment:
            break;
    }
    return stays_;
}

void Stays::add(Index vm, std::string reason) {
    const Vm& row = *model_.vms[pos(vm)].row;
    stays_.push_back({row.id, row.name, model_.hosts[pos(field_.host_of(vm))].row->name, std::move(reason)});
}

/// Those whose leaving would pay for itself if there were a place, and the first of the others; the worst first.
void Stays::of_level() {
    std::vector<std::pair<double, Index>> felt;
    for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
        const auto host = static_cast<Index>(h);
        if (field_.contention(host) < least_cost) continue;
        for (const Index vm : field_.vms_on(host))
            if (field_.is_home(vm) && field_.relief(vm) > model_.options.margin * least_cost)
                felt.emplace_back(-field_.relief(vm), vm);
    }
    std::ranges::sort(felt);
    for (std::size_t i = 0; i < felt.size(); ++i) {
        const auto& [relief, vm] = felt[i];
        const auto& reach = model_.hosts[pos(field_.host_of(vm))].reach;
        if (i < others_named || (!reach.empty() && -relief > ledger_.price(vm, reach.front()))) add(vm, why(vm));
    }
}

void Stays::of_drained() {
    for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
        if (!model_.hosts[h].drained) continue;
        for (const Index vm : field_.vms_on(static_cast<Index>(h))) add(vm, why(vm));
    }
}

/// VMs without which their host could be emptied.
void Stays::of_pinned_alone() {
    for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
        if (!model_.hosts[h].target) continue;
        for (const Index vm : field_.vms_on(static_cast<Index>(h)))
            if (!model_.vms[pos(vm)].movable) add(vm, model_.vms[pos(vm)].pinned);
    }
}

std::string Stays::why(Index vm) {
    const VmRow& row = model_.vms[pos(vm)];
    if (!row.movable) return row.pinned;
    const auto offer = best_offer(vm);
    if (!offer) return ++explained_ <= explained_max ? why_nowhere(vm) : "no host takes it";
    if (!nearest_ || offer->gain / offer->cost > nearest_->gain / nearest_->cost) nearest_ = offer;
    const std::string& to = model_.hosts[pos(offer->to)].row->name;
    if (offer->gain >= model_.options.margin * offer->cost)
        return fmt::format("the bounds on moves leave no room: one to {} would gain {:.0f} s for {:.0f} s", to,
                           offer->gain, offer->cost);
    return fmt::format("the best move, to {}, gains {:.0f} s for {:.0f} s", to, std::max(0.0, offer->gain),
                       offer->cost);
}

std::optional<Stays::Offer> Stays::best_offer(Index vm) {
    std::optional<Offer> best;
    const Index from = field_.host_of(vm);
    std::size_t asked = 0;
    for (const Index to : model_.hosts[pos(from)].reach) {
        if (asked >= targets_asked) break;
        const auto step = field_.shift(vm, to);
        if (!field_.has_room(step) || !field_.permits(step) || !replay_.accepts(vm, to)) continue;
        ++asked;
        const double gain = field_.score() - field_.score_after(step);
        if (best && gain <= best->gain) continue;
        best = Offer{
            gain, cost_in_seconds(ledger_.cost(vm, from, to), *model_.hosts[pos(from)].row, *model_.hosts[pos(to)].row),
            to};
    }
    return best;
}

/// How many hosts each rule refuses, and the words of the first of them.
std::string Stays::why_nowhere(Index vm) const {
    const VmRow& row = model_.vms[pos(vm)];
    std::map<std::string, std::pair<int, std::string>> refusals;
    const auto refuse = [&](const std::string& rule, const std::string& words) {
        auto& [count, first] = refusals[rule];
        if (count++ == 0) first = words;
    };
    int others = 0;
    for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
        const auto to = static_cast<Index>(h);
        if (to == field_.host_of(vm)) continue;
        ++others;
        const std::string& name = model_.hosts[h].row->name;
        const auto verdicts = replay_.judge(vm, to);
        const auto no = std::ranges::find(verdicts, false, &RuleVerdict::accepted);
        if (no != verdicts.end()) {
            refuse(no->rule, fmt::format("{}: {}", name, no->detail));
            continue;
        }
        const MoveCost cost = ledger_.cost(vm, field_.host_of(vm), to);
        if (!replay_.keeps_spare(vm, to))
            refuse("n_plus_one", fmt::format("{}: the loss of a host could no longer be absorbed", name));
        else if (!cost.possible)
            refuse("forecast", fmt::format("{}: {}", name, cost.reason));
        else if (model_.hosts[h].drained)
            refuse("emptied", fmt::format("{} is emptied, too", name));
        else
            refuse("window", fmt::format("it left {} within the last {}", name,
                                         to_string(Milliseconds(model_.options.no_return))));
    }
    if (others == 0) return "there is no other host";
    std::vector<std::pair<int, std::string>> most;
    for (const auto& [rule, refusal] : refusals)
        most.emplace_back(-refusal.first, fmt::format("{} by {} ({})", refusal.first, rule, refusal.second));
    std::ranges::sort(most);
    std::vector<std::string> words;
    for (std::size_t i = 0; i < std::min(reasons_named, most.size()); ++i) words.push_back(most[i].second);
    std::string group;
    if (row.apart >= 0) {
        const auto members = std::ranges::count(model_.vms, row.apart, &VmRow::apart);
        const auto places = std::ranges::count(model_.hosts, true, &HostRow::target);
        if (members > places)
            group = fmt::format("; group {} has {} VMs for {} hosts", row.row->spec.anti_affinity, members, places);
    }
    return fmt::format("no host takes it: of {} others, refused {}{}", others, fmt::join(words, ", "), group);
}

std::string Stays::best_refused() const {
    if (nearest_)
        return fmt::format("nothing worth moving: the best move gains {:.0f} s for {:.0f} s",
                           std::max(0.0, nearest_->gain), nearest_->cost);
    if (stays_.empty()) return "nothing worth moving: no host has contention that a move would relieve";
    const std::string more = stays_.size() > 1 ? fmt::format(", and {} more", stays_.size() - 1) : "";
    return fmt::format("nothing worth moving may move: {} ({}){}", stays_.front().name, stays_.front().reason, more);
}

}  // namespace ballast::scheduler::plan
