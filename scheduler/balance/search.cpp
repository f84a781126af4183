#include "scheduler/balance/search.h"

#include <algorithm>
#include <cmath>

#include "scheduler/balance/random.h"
#include "scheduler/balance/state.h"

namespace ballast::scheduler::balance {
namespace {

/// Of the temperature, in units of the score and scaled by the hosts: at the first a step that makes one host worse by
/// a VM is often taken, at the last nothing is.
constexpr double hottest = 0.25;
constexpr double coldest = 0.0005;
constexpr std::uint64_t look_every = 1024;        ///< candidates between two looks at `stop`
constexpr std::uint64_t recount_every = 1 << 20;  ///< candidates between two recounts

template <std::size_t width>
class Chain {
  public:
    Chain(const Problem& problem, const SearchOptions& options, std::size_t number)
        : problem_(problem),
          options_(options),
          random_(options.seed, number),
          state_(problem, homes(problem)),
          limit_(options.max_moves.value_or(std::numeric_limits<std::int64_t>::max())) {
        for (std::size_t i = 0; i < problem.vms.size(); ++i)
            if (problem.vms[i].movable) movable_.push_back(static_cast<Index>(i));
        for (std::size_t h = 0; h < problem.hosts.size(); ++h)
            if (problem.hosts[h].counted) targets_.push_back(static_cast<Index>(h));
        keep_best();
    }

    Found run(const Stop& stop) {
        const bool possible = !movable_.empty() && targets_.size() > 1 && limit_ > 0;
        const std::uint64_t effort = possible ? options_.effort : 0;
        std::uint64_t kept_until = 0;
        for (std::uint64_t done = 0; done < effort; done += look_every) {
            if (stop && stop()) {
                best_.cut = true;
                break;
            }
            if (done % recount_every == 0) state_.recount();
            cool(static_cast<double>(done) / static_cast<double>(effort));
            const std::uint64_t some = std::min(look_every, effort - done);
            for (std::uint64_t i = 0; i < some; ++i) try_one();
            best_.candidates += some;
            // A copy of the whole assignment: not more often than it costs.
            if (cost() < best_cost_ && (done + some >= kept_until || done + some >= effort)) {
                keep_best();
                kept_until = done + problem_.vms.size();
            }
        }
        return std::move(best_);
    }

  private:
    using Step = Transfer<width>;

    [[nodiscard]] std::int64_t moves() const { return static_cast<std::int64_t>(state_.displaced().size()); }
    [[nodiscard]] double cost() const { return state_.score() + options_.price * static_cast<double>(moves()); }

    void keep_best() {
        best_cost_ = cost();
        best_.at = state_.assignment();
        best_.score = state_.score();
        best_.moves = moves();
    }

    void cool(double progress) {
        const double scale = 1.0 / static_cast<double>(targets_.size());
        temperature_ = scale * hottest * std::pow(coldest / hottest, progress);
    }

    bool accepts(double change) {
        if (change <= 0) return true;
        return change < 12 * temperature_ && random_.unit() < std::exp(-change / temperature_);
    }

    Index any_vm() { return movable_[static_cast<std::size_t>(random_.below(movable_.size()))]; }
    Index any_target() { return targets_[static_cast<std::size_t>(random_.below(targets_.size()))]; }
    Index any_displaced() {
        return state_.displaced()[static_cast<std::size_t>(random_.below(state_.displaced().size()))];
    }
    Index any_of(const std::vector<Index>& vms) { return vms[static_cast<std::size_t>(random_.below(vms.size()))]; }
    /// Half of the time one that has left its host already: moving it again costs nothing.
    Index likely_vm() { return !state_.displaced().empty() && (random_.next() & 1U) != 0 ? any_displaced() : any_vm(); }
    [[nodiscard]] Index home_of(Index vm) const { return problem_.vms[static_cast<std::size_t>(vm)].home; }
    [[nodiscard]] bool movable(Index vm) const { return problem_.vms[static_cast<std::size_t>(vm)].movable; }

    /// How many more VMs would be away from home.
    [[nodiscard]] std::int64_t more_moves(Index vm, Index to) const {
        return (home_of(vm) == to ? 0 : 1) - (state_.is_home(vm) ? 0 : 1);
    }
    [[nodiscard]] double price_of(std::int64_t more) const { return options_.price * static_cast<double>(more); }

    void try_one() {
        const bool full = moves() >= limit_;
        const auto dice = random_.below(100);
        if (full ? dice < 40 : dice < 8)
            try_replacement();
        else if (dice < 16 && !full)
            try_chain();
        else if (dice < 62)
            try_shift(full);
        else
            try_exchange();
    }

    void try_shift(bool full) {
        const Index vm = full ? any_displaced() : likely_vm();
        const Index to = random_.below(8) == 0 ? home_of(vm) : any_target();
        if (to == state_.host_of(vm)) return;
        const auto step = state_.shift(vm, to);
        const auto more = more_moves(vm, to);
        if (moves() + more > limit_ || !state_.fits(step)) return;
        if (accepts(state_.score_after(step) - state_.score() + price_of(more))) state_.make_shift(vm, to);
    }

    void try_exchange() {
        const Index vm = likely_vm();
        const auto& neighbours = state_.vms_on(home_of(vm));
        const Index other =
            !state_.is_home(vm) && !neighbours.empty() && (random_.next() & 1U) != 0 ? any_of(neighbours) : likely_vm();
        const Index a = state_.host_of(vm);
        const Index b = state_.host_of(other);
        if (a == b || !movable(other)) return;
        const auto more = more_moves(vm, b) + more_moves(other, a);
        if (moves() + more > limit_) return;
        const auto step = state_.exchange(vm, other);
        if (!state_.fits(step)) return;
        if (accepts(state_.score_after(step) - state_.score() + price_of(more))) state_.make_exchange(vm, other);
    }

    /// One VM goes home, and another goes instead: where the first one was, or anywhere.
    void try_replacement() {
        if (state_.displaced().empty()) return;
        const Index back = any_displaced();
        const Index was = state_.host_of(back);
        const Index vm = any_vm();
        const Index to = (random_.next() & 1U) != 0 ? was : any_target();
        try_pair(back, home_of(back), vm, to);
    }

    /// One VM goes to another's host, which goes on to a third.
    void try_chain() {
        const Index vm = likely_vm();
        const Index other = likely_vm();
        try_pair(vm, state_.host_of(other), other, any_target());
    }

    /// Two single moves that are taken together or not at all.
    void try_pair(Index first, Index first_to, Index second, Index second_to) {
        const Index first_from = state_.host_of(first);
        if (first == second || first_to == first_from || second_to == state_.host_of(second)) return;
        const auto more = more_moves(first, first_to) + more_moves(second, second_to);
        if (moves() + more > limit_) return;
        // The second one leaves before the first one comes: on a full host that is the only order that fits.
        const Index second_from = state_.host_of(second);
        const double before = state_.score();
        if (!state_.fits(state_.shift(second, second_to))) return;
        state_.make_shift(second, second_to);
        const auto step = state_.shift(first, first_to);
        if (state_.fits(step) && accepts(state_.score_after(step) - before + price_of(more)))
            state_.make_shift(first, first_to);
        else
            state_.make_shift(second, second_from);
    }

    const Problem& problem_;
    const SearchOptions& options_;
    Random random_;
    State<width> state_;
    std::int64_t limit_;
    std::vector<Index> movable_;
    std::vector<Index> targets_;
    double temperature_ = 0;
    double best_cost_ = 0;
    Found best_;
};

}  // namespace

std::uint64_t default_effort(const Problem& problem) {
    const auto hosts = static_cast<std::uint64_t>(problem.hosts.size());
    constexpr std::uint64_t least = 100'000;
    constexpr std::uint64_t most = 6'000'000;
    return hosts > 100 ? most : std::clamp(hosts * hosts * hosts * hosts * 4 / 5, least, most);
}

double default_price(const Problem& problem, const std::optional<std::int64_t>& max_moves) {
    const auto hosts = static_cast<double>(std::max<Index>(1, problem.counted_hosts()));
    return (max_moves ? 0.02 : 0.1) / hosts;
}

Found run_chain(const Problem& problem, const SearchOptions& options, std::size_t chain, const Stop& stop) {
    if (problem.metrics <= 4) return Chain<4>(problem, options, chain).run(stop);
    return Chain<metrics_max>(problem, options, chain).run(stop);
}

const Found& best_of(const std::vector<Found>& chains, double price) {
    return *std::min_element(chains.begin(), chains.end(), [price](const Found& a, const Found& b) {
        return a.score + price * static_cast<double>(a.moves) < b.score + price * static_cast<double>(b.moves);
    });
}

}  // namespace ballast::scheduler::balance
