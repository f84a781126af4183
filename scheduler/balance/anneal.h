#pragma once
// Simulated annealing over single moves, exchanges, ejection chains (one VM drives another on) and, where the number of
// moves is bounded, replacements (one VM goes home, another leaves instead). Kirkpatrick, Gelatt, Vecchi, Science 220
// (1983). Decides which step is taken; what a step is worth, whether it is possible, and where it pays to look is the
// arena's. Pure; used by one thread.
//
// An Arena has the shape of State (state.h): host_of, home_of, is_home, vms_on, displaced, assignment, score,
// shift, exchange, fits, score_after, make_shift, make_exchange, recount. Beside that:
//   price_of(vm, to)   what the move adds to paid()
//   paid()             price of all that are not at home
//   permits(step)      a last, dearer word on a step that would be taken
//   movable(vm), any_vm(random), any_target(random, vm)
//   hottest()          the first temperature, in units of the score
//   cooled()           what share of it the last one is

#include <cmath>
#include <cstdint>
#include <limits>

#include "scheduler/balance/random.h"
#include "scheduler/balance/search.h"

namespace ballast::scheduler::balance {

template <class Arena>
class Annealer {
  public:
    /// The arena holds where the VMs are in the beginning; the best found is returned, the arena is left anywhere.
    Annealer(Arena& arena, const SearchOptions& options, std::size_t number)
        : arena_(arena),
          options_(options),
          random_(options.seed, number),
          limit_(options.max_moves.value_or(std::numeric_limits<std::int64_t>::max())) {
        keep_best();
    }

    /// `possible`: false where no step can exist.
    Found run(const Stop& stop, bool possible) {
        const std::uint64_t effort = possible && limit_ > 0 ? options_.effort : 0;
        std::uint64_t kept_until = 0;
        for (std::uint64_t done = 0; done < effort; done += look_every) {
            if (stop && stop()) {
                best_.cut = true;
                break;
            }
            if (done % recount_every == 0) arena_.recount();
            cool(static_cast<double>(done) / static_cast<double>(effort));
            const std::uint64_t some = std::min(look_every, effort - done);
            for (std::uint64_t i = 0; i < some; ++i) try_one();
            best_.candidates += some;
            // A copy of the whole assignment: not more often than it costs.
            if (cost() < best_cost_ && (done + some >= kept_until || done + some >= effort)) {
                keep_best();
                kept_until = done + arena_.assignment().size();
            }
        }
        return std::move(best_);
    }

  private:
    static constexpr std::uint64_t look_every = 1024;        ///< candidates between two looks at `stop`
    static constexpr std::uint64_t recount_every = 1 << 20;  ///< candidates between two recounts

    [[nodiscard]] std::int64_t moves() const { return static_cast<std::int64_t>(arena_.displaced().size()); }
    [[nodiscard]] double cost() const { return arena_.score() + arena_.paid(); }

    void keep_best() {
        best_cost_ = cost();
        best_.at = arena_.assignment();
        best_.score = arena_.score();
        best_.moves = moves();
    }

    void cool(double progress) { temperature_ = arena_.hottest() * std::pow(arena_.cooled(), progress); }

    bool accepts(double change) {
        if (change <= 0) return true;
        return change < 12 * temperature_ && random_.unit() < std::exp(-change / temperature_);
    }

    Index any_of(const std::vector<Index>& vms) { return vms[static_cast<std::size_t>(random_.below(vms.size()))]; }
    Index any_displaced() { return any_of(arena_.displaced()); }
    /// Half of the time one that has left its host already: moving it again costs nothing.
    Index likely_vm() {
        return !arena_.displaced().empty() && (random_.next() & 1U) != 0 ? any_displaced() : arena_.any_vm(random_);
    }

    /// How many more VMs would be away from home.
    [[nodiscard]] std::int64_t more_moves(Index vm, Index to) const {
        return (arena_.home_of(vm) == to ? 0 : 1) - (arena_.is_home(vm) ? 0 : 1);
    }

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
        const Index to = random_.below(8) == 0 ? arena_.home_of(vm) : arena_.any_target(random_, vm);
        if (to == arena_.host_of(vm)) return;
        const auto step = arena_.shift(vm, to);
        const auto more = more_moves(vm, to);
        if (moves() + more > limit_ || !arena_.fits(step)) return;
        if (accepts(arena_.score_after(step) - arena_.score() + arena_.price_of(vm, to)) && arena_.permits(step))
            arena_.make_shift(vm, to);
    }

    void try_exchange() {
        const Index vm = likely_vm();
        const auto& neighbours = arena_.vms_on(arena_.home_of(vm));
        const Index other =
            !arena_.is_home(vm) && !neighbours.empty() && (random_.next() & 1U) != 0 ? any_of(neighbours) : likely_vm();
        const Index a = arena_.host_of(vm);
        const Index b = arena_.host_of(other);
        if (a == b || !arena_.movable(other)) return;
        const auto more = more_moves(vm, b) + more_moves(other, a);
        if (moves() + more > limit_) return;
        const auto step = arena_.exchange(vm, other);
        if (!arena_.fits(step)) return;
        const double price = arena_.price_of(vm, b) + arena_.price_of(other, a);
        if (accepts(arena_.score_after(step) - arena_.score() + price) && arena_.permits(step))
            arena_.make_exchange(vm, other);
    }

    /// One VM goes home, and another goes instead: where the first one was, or anywhere.
    void try_replacement() {
        if (arena_.displaced().empty()) return;
        const Index back = any_displaced();
        const Index was = arena_.host_of(back);
        const Index vm = arena_.any_vm(random_);
        const Index to = (random_.next() & 1U) != 0 ? was : arena_.any_target(random_, vm);
        try_pair(back, arena_.home_of(back), vm, to);
    }

    /// One VM goes to another's host, which goes on to a third.
    void try_chain() {
        const Index vm = likely_vm();
        const Index other = likely_vm();
        try_pair(vm, arena_.host_of(other), other, arena_.any_target(random_, other));
    }

    /// Two single moves that are taken together or not at all.
    void try_pair(Index first, Index first_to, Index second, Index second_to) {
        const Index first_from = arena_.host_of(first);
        if (first == second || first_to == first_from || second_to == arena_.host_of(second)) return;
        const auto more = more_moves(first, first_to) + more_moves(second, second_to);
        if (moves() + more > limit_) return;
        // The second one leaves before the first one comes: on a full host that is the only order that fits.
        const Index second_from = arena_.host_of(second);
        const double before = arena_.score();
        const double price = arena_.price_of(first, first_to) + arena_.price_of(second, second_to);
        const auto away = arena_.shift(second, second_to);
        if (!arena_.fits(away) || !arena_.permits(away)) return;
        arena_.make_shift(second, second_to);
        const auto step = arena_.shift(first, first_to);
        if (arena_.fits(step) && accepts(arena_.score_after(step) - before + price) && arena_.permits(step))
            arena_.make_shift(first, first_to);
        else
            arena_.make_shift(second, second_from);
    }

    Arena& arena_;
    const SearchOptions& options_;
    Random random_;
    std::int64_t limit_;
    double temperature_ = 0;
    double best_cost_ = 0;
    Found best_;
};

}  // namespace ballast::scheduler::balance
