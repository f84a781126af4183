#include "scheduler/plan/descent.h"

#include <algorithm>

namespace ballast::scheduler::plan {
namespace {

constexpr std::size_t sampled = 64;   ///< targets that are ranked, of all that can be reached
constexpr std::size_t tried = 16;     ///< of them looked at for each VM
constexpr std::size_t ejections = 4;  ///< blocked moves for which room is sought
constexpr std::size_t onward = 8;     ///< targets for the VM that is driven on
constexpr int rounds = 4;             ///< over all hosts: the later ones find little
constexpr double noise = 1e-6;        ///< seconds that rounding may pretend
constexpr std::uint64_t look_every = 1024;

}  // namespace

Descent::Descent(Field& field, const balance::Random& random, const Limits& limits, const balance::Stop& stop)
    : field_(field), random_(random), limits_(limits), stop_(stop) {}

bool Descent::over() {
    if (looked_at_ >= limits_.effort) return true;
    if (looked_at_ >= next_look_) {
        next_look_ = looked_at_ + look_every;
        cut_ = cut_ || (stop_ && stop_());
    }
    return cut_;
}

/// Whether moving this VM is what the goal is about. An order moves who must leave, and others only to make room.
bool Descent::wanted(Index vm) const {
    const VmRow& row = field_.model().vms[pos(vm)];
    if (!row.movable) return false;
    return !is_order(field_.model().options.goal) || (row.must_leave && field_.is_home(vm));
}

/// What the host could gain at most.
double Descent::need(Index host) const {
    if (!is_order(field_.model().options.goal)) return field_.contention(host);
    const auto leaving = std::ranges::count_if(field_.vms_on(host), [&](Index vm) { return wanted(vm); });
    return order_worth * static_cast<double>(leaving);
}

void Descent::run() {
    const auto hosts = static_cast<Index>(field_.model().hosts.size());
    for (int round = 0; round < rounds && !over(); ++round) {
        std::vector<std::pair<double, Index>> worst;
        for (Index host = 0; host < hosts; ++host)
            if (const double much = need(host); much > least_cost) worst.emplace_back(-much, host);
        std::ranges::sort(worst);
        const double before = field_.score() + field_.paid();
        for (const auto& [much, host] : worst) {
            if (over()) break;
            relieve(host);
        }
        field_.recount();
        if (field_.score() + field_.paid() >= before - noise) break;
    }
}

void Descent::relieve(Index host) {
    while (!over() && need(host) > least_cost) {
        const auto targets = likely_targets(host);
        auto best = best_shift(host, targets);
        if (!best) best = best_exchange(host, targets);
        if (!best) best = best_chain(host, targets);
        if (!best) return;
        make(*best);
    }
}

std::vector<Index> Descent::likely_targets(Index host) {
    std::vector<Index> targets = field_.model().hosts[pos(host)].reach;
    if (targets.size() > sampled) {
        for (std::size_t i = 0; i < sampled; ++i)
            std::swap(targets[i], targets[i + pos(random_.below(targets.size() - i))]);
        targets.resize(sampled);
    }
    std::vector<std::pair<double, Index>> ranked;
    ranked.reserve(targets.size());
    for (const Index target : targets) ranked.emplace_back(-field_.slack(target), target);
    std::ranges::sort(ranked);
    for (std::size_t i = 0; i < ranked.size(); ++i) targets[i] = ranked[i].second;
    return targets;
}

bool Descent::within_moves(const Step& step) const {
    const auto more = [&](Index vm, Index to) {
        return (to == field_.home_of(vm) ? 0 : 1) - (field_.is_home(vm) ? 0 : 1);
    };
    int moves = more(step.vm, step.to);
    if (step.other >= 0) moves += more(step.other, field_.host_of(step.vm));
    return static_cast<std::int64_t>(field_.displaced().size()) + moves <= limits_.moves;
}

double Descent::change_of(const Step& step) {
    ++looked_at_;
    return field_.score_after(step) - field_.score() + field_.price_change(step);
}

/// Takes the step as the best so far if it is better, possible and allowed.
void Descent::offer(std::optional<Offer>& best, const Step& step) {
    const double change = change_of(step);
    if (change >= (best ? best->change : -noise)) return;
    if (!within_moves(step) || !field_.permits(step)) return;
    best = Offer{step, std::nullopt, change};
}

std::optional<Descent::Offer> Descent::best_shift(Index host, const std::vector<Index>& targets) {
    std::optional<Offer> best;
    for (const Index vm : field_.vms_on(host)) {
        if (!wanted(vm)) continue;
        std::size_t fitting = 0;
        for (const Index target : targets) {
            const Step step = field_.shift(vm, target);
            if (!field_.fits(step)) continue;
            offer(best, step);
            if (++fitting == tried) break;
        }
        if (!field_.is_home(vm) && field_.fits(field_.shift(vm, field_.home_of(vm))))
            offer(best, field_.shift(vm, field_.home_of(vm)));
    }
    return best;
}

std::optional<Descent::Offer> Descent::best_exchange(Index host, const std::vector<Index>& targets) {
    std::optional<Offer> best;
    if (!field_.model().hosts[pos(host)].target) return best;
    const std::size_t count = std::min(tried, targets.size());
    for (const Index vm : field_.vms_on(host)) {
        if (!wanted(vm)) continue;
        for (std::size_t i = 0; i < count; ++i) {
            for (const Index other : field_.vms_on(targets[i])) {
                if (!field_.model().vms[pos(other)].movable) continue;
                const Step step = field_.exchange(vm, other);
                if (field_.fits(step)) offer(best, step);
            }
        }
    }
    return best;
}

/// Moves that would pay but find no room, the best first.
std::vector<Descent::Offer> Descent::blocked_shifts(Index host, const std::vector<Index>& targets) {
    std::vector<Offer> blocked;
    for (const Index vm : field_.vms_on(host)) {
        if (!wanted(vm)) continue;
        for (const Index target : targets) {
            const Step step = field_.shift(vm, target);
            if (field_.fits(step) || target == host) continue;
            if (const double change = change_of(step); change < -noise) blocked.push_back({step, std::nullopt, change});
        }
    }
    const std::size_t kept = std::min(blocked.size(), ejections * tried);
    std::ranges::partial_sort(blocked, blocked.begin() + static_cast<std::ptrdiff_t>(kept), {}, &Offer::change);
    blocked.resize(kept);
    std::erase_if(blocked, [&](const Offer& one) { return !field_.permits(one.step); });
    if (blocked.size() > ejections) blocked.resize(ejections);
    return blocked;
}

/// Drives each VM of the wanted target on to a third host, and looks whether both together pay.
void Descent::offer_ejections(std::optional<Offer>& best, const Step& wanted) {
    const Index middle = wanted.to;
    const std::vector<Index> others = field_.vms_on(middle);
    const double before = field_.score() + field_.paid();
    auto third = likely_targets(middle);
    if (third.size() > onward) third.resize(onward);
    for (const Index other : others) {
        if (!field_.model().vms[pos(other)].movable || other == wanted.vm) continue;
        for (const Index to : third) {
            const Step away = field_.shift(other, to);
            if (to == field_.host_of(wanted.vm) || !field_.fits(away) || !within_moves(away)) continue;
            if (!field_.permits(away)) continue;
            field_.make_shift(other, to);
            if (field_.fits(wanted) && within_moves(wanted)) {
                const double change = field_.score() + field_.paid() - before + change_of(wanted);
                if (change < (best ? best->change : -noise)) best = Offer{wanted, away, change};
            }
            field_.make_shift(other, middle);
        }
    }
}

std::optional<Descent::Offer> Descent::best_chain(Index host, const std::vector<Index>& targets) {
    std::optional<Offer> best;
    for (const Offer& blocked : blocked_shifts(host, targets)) {
        if (over()) break;
        offer_ejections(best, blocked.step);
    }
    return best;
}

void Descent::make(const Offer& offer) {
    if (offer.before) field_.make_shift(offer.before->vm, offer.before->to);
    if (offer.step.other >= 0)
        field_.make_exchange(offer.step.vm, offer.step.other);
    else
        field_.make_shift(offer.step.vm, offer.step.to);
}

}  // namespace ballast::scheduler::plan
