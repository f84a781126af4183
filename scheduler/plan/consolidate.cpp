// Consolidate: hosts are emptied one by one, the one with the least on it first, each wholly or not at all. Its VMs go
// to hosts that keep running, where they fit at the forecast peak of the coming hours, so that nobody is woken for
// them.

#include <algorithm>

#include "scheduler/plan/goals.h"

namespace ballast::scheduler::plan {
namespace {

/// What an hour without a host is worth, in seconds of contention for each second: a quarter of a core's time.
constexpr double host_worth = 0.25;

class Emptier {
  public:
    Emptier(const Model& model, const MoveCosts& costs, const balance::Stop& stop)
        : model_(model),
          stop_(stop),
          ledger_(model, costs),
          field_(model, ledger_, model.homes()),
          bundles_(model.vms.size(), -1),
          closed_(model.hosts.size(), false),
          received_(model.hosts.size(), false) {
        if (model.options.n_plus_one) spare_.emplace(model);
        close_idle();
    }

    Aim run() {
        Aim aim;
        for (const Index host : smallest_first()) {
            aim.cut = stop_ && stop_();
            if (aim.cut) break;
            if (!received_[pos(host)] && try_empty(host)) ++emptied_;
        }
        aim.at = field_.assignment();
        // Hosts beyond the warm spares are what it was for.
        if (emptied_ > 0 && idle_ + emptied_ <= model_.options.warm_spares) {
            aim.note =
                fmt::format("nothing worth moving: {} hosts could be emptied, and {} stay powered as warm spares",
                            emptied_, model_.options.warm_spares);
            aim.at = model_.homes();
            bundles_.assign(bundles_.size(), -1);
        }
        aim.bundles = std::move(bundles_);
        for (std::size_t h = 0; h < closed_.size(); ++h)
            if (closed_[h]) aim.off.push_back(static_cast<Index>(h));
        return aim;
    }

  private:
    /// Hosts that are empty already: the warm spares stay powered, and those that N+1 needs.
    void close_idle() {
        for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
            const auto host = static_cast<Index>(h);
            if (!model_.hosts[h].target || !field_.vms_on(host).empty() || model_.hosts[h].kept > 0) continue;
            if (idle_++ >= model_.options.warm_spares) static_cast<void>(close(host));
        }
    }

    /// Whether N+1 outlives that; else it stays open.
    bool close(Index host) {
        closed_[pos(host)] = true;
        if (!spare_) return true;
        spare_->close(host, true);
        if (spare_->holds()) return true;
        spare_->close(host, false);
        closed_[pos(host)] = false;
        return false;
    }

    void move(Index vm, Index to) {
        field_.make_shift(vm, to);
        if (spare_) spare_->move(vm, to);
    }

    [[nodiscard]] bool may_empty(Index host) const {
        const HostRow& row = model_.hosts[pos(host)];
        const auto& named = model_.options.hosts;
        if (!row.target || field_.vms_on(host).empty() || row.kept > 0) return false;
        if (!named.empty() && std::ranges::find(named, row.row->id) == named.end()) return false;
        return std::ranges::all_of(field_.vms_on(host), [&](Index vm) { return model_.vms[pos(vm)].movable; });
    }

    [[nodiscard]] std::vector<Index> smallest_first() const {
        std::vector<std::pair<std::int64_t, Index>> hosts;
        for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
            const auto host = static_cast<Index>(h);
            if (may_empty(host)) hosts.emplace_back(model_.hosts[h].memory - field_.free_memory(host), host);
        }
        std::ranges::sort(hosts);
        std::vector<Index> order;
        for (const auto& [used, host] : hosts) order.push_back(host);
        return order;
    }

    bool try_empty(Index host) {
        std::vector<Index> guests = field_.vms_on(host);
        std::ranges::sort(guests, std::greater{}, [&](Index vm) { return model_.memory_of(vm, host); });
        const double before = field_.score() + field_.paid();
        std::vector<Index> moved;
        for (const Index vm : guests) {
            const auto to = best_target(vm, host);
            if (!to || static_cast<std::int64_t>(field_.displaced().size()) >= moves_max()) break;
            move(vm, *to);
            moved.push_back(vm);
        }
        const bool pays = field_.score() + field_.paid() - before < host_worth * model_.span;
        const bool stays_on = idle_ + emptied_ < model_.options.warm_spares;
        if (moved.size() == guests.size() && pays && (stays_on || close(host))) {
            for (const Index vm : moved) {
                bundles_[pos(vm)] = host;
                received_[pos(field_.host_of(vm))] = true;
            }
            return true;
        }
        for (const Index vm : moved) move(vm, host);
        return false;
    }

    [[nodiscard]] std::int64_t moves_max() const {
        return model_.options.max_moves.value_or(std::numeric_limits<int>::max());
    }

    /// The cheapest; of equals the fullest, so that what is left stays whole.
    [[nodiscard]] std::optional<Index> best_target(Index vm, Index host) {
        std::optional<Index> best;
        std::pair<double, std::int64_t> best_key;
        for (const Index to : model_.hosts[pos(host)].reach) {
            if (closed_[pos(to)] || field_.vms_on(to).empty()) continue;
            const auto step = field_.shift(vm, to);
            if (!field_.fits(step)) continue;
            const std::pair key(std::ceil(field_.score_after(step) - field_.score()), field_.free_memory(to));
            if (best && key >= best_key) continue;
            if (!field_.permits(step) || !fits_at_peak(vm, to)) continue;
            best = to;
            best_key = key;
        }
        return best;
    }

    [[nodiscard]] bool fits_at_peak(Index vm, Index to) {
        const Index from = field_.host_of(vm);
        field_.make_shift(vm, to);
        const bool fits = field_.peak_fits(to);
        field_.make_shift(vm, from);
        return fits;
    }

    const Model& model_;
    const balance::Stop& stop_;
    Ledger ledger_;
    Field field_;
    std::optional<Spare> spare_;
    Bundles bundles_;             ///< by the host that is emptied
    std::vector<bool> closed_;    ///< may be powered off: takes nothing, absorbs nothing
    std::vector<bool> received_;  ///< is not emptied afterwards: no VM moves twice
    int idle_ = 0;                ///< empty before
    int emptied_ = 0;
};

}  // namespace

Aim consolidate(const Model& model, const MoveCosts& costs, const balance::Stop& stop) {
    return Emptier(model, costs, stop).run();
}

}  // namespace ballast::scheduler::plan
