#include "bench/month/peers.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ballast::bench {
namespace {

class NoBalancing final : public Policy {
  public:
    [[nodiscard]] std::string name() const override { return "no balancing"; }
    [[nodiscard]] std::vector<MonthMove> decide(const MonthView&) override { return {}; }
};

/// VMs by host.
std::vector<std::vector<int>> guests(const MonthView& view) {
    std::vector<std::vector<int>> on(view.used.size());
    for (std::size_t vm = 0; vm < view.at.size(); ++vm)
        on[static_cast<std::size_t>(view.at[vm])].push_back(static_cast<int>(vm));
    return on;
}

class Threshold final : public Policy {
  public:
    explicit Threshold(ThresholdOptions options) : options_(options) {}
    [[nodiscard]] std::string name() const override { return "threshold"; }

    [[nodiscard]] std::vector<MonthMove> decide(const MonthView& view) override {
        remember(view);
        if (view.slot < options_.history_slots) return {};
        std::vector<double> use = mean_of(view);
        std::vector<std::int64_t> promised = view.promised;
        const auto on = guests(view);
        std::vector<int> order(use.size());
        std::iota(order.begin(), order.end(), 0);
        std::ranges::sort(order, [&](int a, int b) { return use[pos(a)] > use[pos(b)]; });
        std::vector<MonthMove> moves;
        for (const int host : order)
            for (int n = 0; n < options_.at_once && relieve(view, host, on[pos(host)], use, promised, moves);) ++n;
        return moves;
    }

  private:
    static std::size_t pos(int index) { return static_cast<std::size_t>(index); }

    void remember(const MonthView& view) {
        if (vm_rests_.empty()) {
            vm_rests_.resize(view.at.size());
            host_rests_.resize(view.used.size());
        }
    }
    [[nodiscard]] double demand(const MonthView& view, int vm) const {
        double sum = 0;
        for (int back = 1; back <= options_.history_slots; ++back)
            sum += view.world.cores_of(view.slot - back, pos(vm));
        return sum / options_.history_slots;
    }
    [[nodiscard]] std::vector<double> mean_of(const MonthView& view) const {
        std::vector<double> use(view.used.size());
        for (std::size_t vm = 0; vm < view.at.size(); ++vm) use[pos(view.at[vm])] += demand(view, static_cast<int>(vm));
        return use;
    }

    bool relieve(const MonthView& view, int host, const std::vector<int>& vms, std::vector<double>& use,
                 std::vector<std::int64_t>& promised, std::vector<MonthMove>& moves) {
        const double limit = options_.threshold * view.world.cores;
        if (use[pos(host)] <= limit || host_rests_[pos(host)] > view.slot) return false;
        int best = -1;
        double best_demand = 0;
        for (const int vm : vms) {  // the smallest that suffices, or the busiest
            if (view.moving[pos(vm)] || vm_rests_[pos(vm)] > view.slot) continue;
            const double cores = demand(view, vm);
            const bool suffices = use[pos(host)] - cores <= limit;
            const bool best_suffices = best >= 0 && use[pos(host)] - best_demand <= limit;
            if (best < 0 || (suffices && !best_suffices) ||
                (suffices == best_suffices && (cores < best_demand) == suffices)) {
                best = vm;
                best_demand = cores;
            }
        }
        if (best < 0) return false;
        int target = -1;
        for (int other = 0; other < view.world.hosts; ++other) {
            const bool fits = promised[pos(other)] + view.world.vms[pos(best)].memory <= view.world.memory;
            if (other == host || !fits || use[pos(other)] + best_demand > limit) continue;
            if (target < 0 || use[pos(other)] < use[pos(target)]) target = other;
        }
        if (target < 0) return false;
        moves.push_back({best, target});
        use[pos(host)] -= best_demand;
        use[pos(target)] += best_demand;
        promised[pos(target)] += view.world.vms[pos(best)].memory;
        vm_rests_[pos(best)] = view.slot + options_.cool_down_slots;
        if (use[pos(host)] <= limit) host_rests_[pos(host)] = view.slot + 1;
        return true;
    }

    ThresholdOptions options_;
    std::vector<int> vm_rests_;
    std::vector<int> host_rests_;
};

class Crs final : public Policy {
  public:
    explicit Crs(CrsOptions options) : options_(options) {}
    [[nodiscard]] std::string name() const override { return "crs"; }

    /// The figures of a slot hold for all of its rounds, so that several motions may follow one another in it.
    [[nodiscard]] std::vector<MonthMove> decide(const MonthView& view) override {
        std::vector<MonthMove> moves;
        if (view.slot == 0) return moves;
        use_ = view.used;
        std::vector<std::int64_t> promised = view.promised;
        std::vector<int> at = view.at;
        int round = 0;
        const int rounds = slot_s / options_.round_s;
        while (round + options_.rounds <= rounds && imbalance() > options_.threshold) {
            round += options_.rounds;
            const auto move = best(view, at, promised);
            if (!move) break;
            const auto vm = static_cast<std::size_t>(move->vm);
            const double cores = view.world.cores_of(view.slot - 1, vm);
            use_[static_cast<std::size_t>(at[vm])] -= cores;
            use_[static_cast<std::size_t>(move->to)] += cores;
            promised[static_cast<std::size_t>(move->to)] += view.world.vms[vm].memory;
            at[vm] = move->to;
            moves.push_back(*move);
        }
        return moves;
    }

  private:
    [[nodiscard]] double imbalance() const {
        const auto n = static_cast<double>(use_.size());
        double sum = 0;
        double squares = 0;
        for (const double use : use_) {
            sum += use;
            squares += use * use;
        }
        const double mean = sum / n;
        return mean <= 0 ? 0 : std::sqrt(std::max(0.0, squares / n - mean * mean)) / mean;
    }

    /// By brute force. The sum stays, so the move that lowers the sum of squares most lowers the imbalance most.
    [[nodiscard]] std::optional<MonthMove> best(const MonthView& view, const std::vector<int>& at,
                                                const std::vector<std::int64_t>& promised) const {
        std::optional<MonthMove> found;
        double lowest = 0;
        for (std::size_t vm = 0; vm < at.size(); ++vm) {
            if (view.moving[vm]) continue;
            const double cores = view.world.cores_of(view.slot - 1, vm);
            const double from = use_[static_cast<std::size_t>(at[vm])];
            for (std::size_t to = 0; to < use_.size(); ++to) {
                if (static_cast<int>(to) == at[vm] || promised[to] + view.world.vms[vm].memory > view.world.memory)
                    continue;
                const double change = 2 * cores * (cores - from + use_[to]);
                if (change >= lowest) continue;
                lowest = change;
                found = MonthMove{static_cast<int>(vm), static_cast<int>(to)};
            }
        }
        if (!found) return std::nullopt;
        const auto n = static_cast<double>(use_.size());
        const double mean = std::accumulate(use_.begin(), use_.end(), 0.0) / n;
        const double before = imbalance();
        const double variance = before * before * mean * mean + lowest / n;
        const double after = std::sqrt(std::max(0.0, variance)) / mean;
        if ((before - after) / before < options_.margin) return std::nullopt;
        return found;
    }

    CrsOptions options_;
    std::vector<double> use_;
};

}  // namespace

std::unique_ptr<Policy> make_no_balancing() {
    return std::make_unique<NoBalancing>();
}

std::unique_ptr<Policy> make_threshold(ThresholdOptions options) {
    return std::make_unique<Threshold>(options);
}

std::unique_ptr<Policy> make_crs(CrsOptions options) {
    return std::make_unique<Crs>(options);
}

}  // namespace ballast::bench
