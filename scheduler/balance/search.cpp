#include "scheduler/balance/search.h"

#include <algorithm>

#include "scheduler/balance/anneal.h"
#include "scheduler/balance/random.h"
#include "scheduler/balance/state.h"

namespace ballast::scheduler::balance {
namespace {

/// The state as the annealer's arena: every move has the same price, every VM and every target is as good as another.
template <std::size_t width>
class Levelling : public State<width> {
  public:
    Levelling(const Problem& problem, double price)
        : State<width>(problem, homes(problem)), problem_(problem), price_(price) {
        for (std::size_t i = 0; i < problem.vms.size(); ++i)
            if (problem.vms[i].movable) movable_.push_back(static_cast<Index>(i));
        for (std::size_t h = 0; h < problem.hosts.size(); ++h)
            if (problem.hosts[h].counted) targets_.push_back(static_cast<Index>(h));
    }

    [[nodiscard]] bool possible() const { return !movable_.empty() && targets_.size() > 1; }
    [[nodiscard]] Index home_of(Index vm) const { return problem_.vms[static_cast<std::size_t>(vm)].home; }
    [[nodiscard]] bool movable(Index vm) const { return problem_.vms[static_cast<std::size_t>(vm)].movable; }
    [[nodiscard]] bool permits(const Transfer<width>& /*step*/) const { return true; }
    [[nodiscard]] double price_of(Index vm, Index to) const {
        return price_ * ((home_of(vm) == to ? 0 : 1) - (this->is_home(vm) ? 0 : 1));
    }
    [[nodiscard]] double paid() const { return price_ * static_cast<double>(this->displaced().size()); }
    [[nodiscard]] Index any_vm(Random& random) const {
        return movable_[static_cast<std::size_t>(random.below(movable_.size()))];
    }
    [[nodiscard]] Index any_target(Random& random, Index /*vm*/) const {
        return targets_[static_cast<std::size_t>(random.below(targets_.size()))];
    }

    /// At the first temperature a step that makes one host worse by a VM is often taken, at the last nothing is.
    [[nodiscard]] double hottest() const { return 1.0 / static_cast<double>(targets_.size()) * 0.25; }
    [[nodiscard]] double cooled() const { return 0.0005 / 0.25; }

  private:
    const Problem& problem_;
    double price_;
    std::vector<Index> movable_;
    std::vector<Index> targets_;
};

template <std::size_t width>
Found anneal(const Problem& problem, const SearchOptions& options, std::size_t chain, const Stop& stop) {
    Levelling<width> arena(problem, options.price);
    return Annealer<Levelling<width>>(arena, options, chain).run(stop, arena.possible());
}

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
    if (problem.metrics <= 4) return anneal<4>(problem, options, chain, stop);
    return anneal<metrics_max>(problem, options, chain, stop);
}

const Found& best_of(const std::vector<Found>& chains, double price) {
    return *std::min_element(chains.begin(), chains.end(), [price](const Found& a, const Found& b) {
        return a.score + price * static_cast<double>(a.moves) < b.score + price * static_cast<double>(b.moves);
    });
}

}  // namespace ballast::scheduler::balance
