// Defragment: the host that is cheapest to clear for one big VM. VMs leave it, each to the best place elsewhere, until
// the big one would be taken; the host for which that costs the least is chosen.

#include <algorithm>

#include "scheduler/plan/goals.h"
#include "scheduler/plan/judge.h"

namespace ballast::scheduler::plan {
namespace {

constexpr std::size_t candidates = 32;  ///< hosts that are tried, those that lack the least first

class Clearer {
  public:
    Clearer(const Model& model, const MoveCosts& costs, const balance::Stop& stop)
        : model_(model), stop_(stop), ledger_(model, costs), field_(model, ledger_, model.homes()), replay_(model) {}

    Aim run() {
        Aim aim{.at = model_.homes(), .bundles = Bundles(model_.vms.size(), -1), .note = {}, .cut = false};
        const VmSpec& big = *model_.options.big;
        std::vector<std::pair<std::int64_t, Index>> lacking;
        for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
            const auto host = static_cast<Index>(h);
            if (!model_.hosts[h].target || !takes_when_empty(big, host)) continue;
            if (replay_.accepts(big, host)) {
                aim.note = fmt::format("nothing worth moving: {} has room already", model_.hosts[h].row->name);
                return aim;
            }
            lacking.emplace_back(lack(host).first, host);
        }
        std::ranges::sort(lacking);
        std::optional<double> best;
        for (std::size_t i = 0; i < std::min(candidates, lacking.size()); ++i) {
            aim.cut = stop_ && stop_();
            if (aim.cut) break;
            try_host(lacking[i].second, aim, best);
        }
        if (!best)
            aim.note = fmt::format("no host can be cleared for {} vCPUs and {}: of {} hosts {} could take it if empty",
                                   big.vcpus, big.memory, model_.hosts.size(), lacking.size());
        return aim;
    }

  private:
    [[nodiscard]] bool takes_when_empty(const VmSpec& big, Index host) const {
        PlacementRequest request;
        request.spec = big;
        return accept_when_empty(replay_.snapshot(), request, *model_.hosts[pos(host)].row);
    }

    /// Memory and vCPUs that are missing there for the big VM.
    [[nodiscard]] std::pair<std::int64_t, std::int64_t> lack(Index host) const {
        const VmSpec& big = *model_.options.big;
        const HostRow& row = model_.hosts[pos(host)];
        std::int64_t vcpus = row.vcpus_kept + big.vcpus;
        for (const Index vm : field_.vms_on(host)) vcpus += model_.vms[pos(vm)].vcpus;
        return {memory_promise(big, *row.row).count() - field_.free_memory(host), vcpus - row.vcpus};
    }

    [[nodiscard]] bool in_the_way(Index vm) const {
        const std::string& group = model_.options.big->anti_affinity;
        return !group.empty() && model_.vms[pos(vm)].row->spec.anti_affinity == group;
    }

    [[nodiscard]] bool cleared(Index host) const {
        const auto [memory, vcpus] = lack(host);
        return memory <= 0 && vcpus <= 0 &&
               std::ranges::none_of(field_.vms_on(host), [&](Index vm) { return in_the_way(vm); });
    }

    void try_host(Index host, Aim& aim, std::optional<double>& best) {
        const double before = field_.score() + field_.paid();
        std::vector<Index> moved;
        while (!cleared(host)) {
            const auto step = best_leaving(host);
            if (!step) break;
            field_.make_shift(step->vm, step->to);
            moved.push_back(step->vm);
        }
        const double cost = field_.score() + field_.paid() - before;
        const bool few =
            !model_.options.max_moves || moved.size() <= static_cast<std::size_t>(*model_.options.max_moves);
        if (cleared(host) && few && (!best || cost < *best)) {
            best = cost;
            aim.at = field_.assignment();
            aim.bundles.assign(model_.vms.size(), -1);
            for (const Index vm : moved) aim.bundles[pos(vm)] = host;
        }
        for (const Index vm : moved) field_.make_shift(vm, host);
    }

    /// The step that costs the least for what it frees; what is in the way by its group goes first.
    [[nodiscard]] std::optional<Field::Step> best_leaving(Index host) {
        std::optional<Field::Step> best;
        double best_rate = 0;
        const auto [memory, vcpus] = lack(host);
        for (const Index vm : field_.vms_on(host)) {
            if (!model_.vms[pos(vm)].movable) continue;
            double freed = in_the_way(vm) ? static_cast<double>(model_.hosts[pos(host)].memory) : 1;
            if (memory > 0) freed += static_cast<double>(std::min(memory, model_.memory_of(vm, host)));
            if (vcpus > 0) freed += static_cast<double>(std::min(vcpus, model_.vms[pos(vm)].vcpus));
            for (const Index to : model_.hosts[pos(host)].reach) {
                const auto step = field_.shift(vm, to);
                if (!field_.fits(step)) continue;
                const double change = field_.score_after(step) - field_.score() + field_.price_change(step);
                const double rate = freed / std::max(least_cost, change);
                if (rate <= best_rate || !field_.permits(step)) continue;
                best = step;
                best_rate = rate;
            }
        }
        return best;
    }

    const Model& model_;
    const balance::Stop& stop_;
    Ledger ledger_;
    Field field_;
    Replay replay_;
};

}  // namespace

Aim make_room(const Model& model, const MoveCosts& costs, const balance::Stop& stop) {
    return Clearer(model, costs, stop).run();
}

}  // namespace ballast::scheduler::plan
