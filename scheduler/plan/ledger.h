#pragma once
// What a move costs in seconds, and whether the rules and the forecast allow it at all; both asked once and remembered.
// Decides by the rules of rules/catalog.cpp, each host taken as empty: what depends on the other VMs' places (room,
// groups) is for field.h and replay.h. Pure as far as MoveCosts is; one ledger belongs to one search.
//
// Cost of a migration in seconds (REFERENCE of DRS, VMware Technical Journal 2012: the sum over moves of their time on
// the busiest link must stay below gain x horizon):
//
//     total x share of the link + downtime + brown-out
//
// share of the link = bytes / (total x speed of the slower of both links), 1 where no speed is known. All of them are
// seconds in which somebody waits, as those of contention are. A move counts with `least_cost` at least: claims,
// checks and cold caches cost something, too, and noise must not move VMs.

#include <vector>

#include "scheduler/plan/model.h"

namespace ballast::scheduler::plan {

inline constexpr double least_cost = 1;  ///< seconds

[[nodiscard]] double cost_in_seconds(const MoveCost& cost, const Host& from, const Host& to);

class Ledger {
  public:
    Ledger(const Model& model, const MoveCosts& costs);

    /// By every rule that looks at the VM and the host alone, and by the forecast.
    [[nodiscard]] bool allowed(Index vm, Index to);
    /// What the VM's move must gain to be made: its cost times the margin. Of the first target that was asked about:
    /// the search has no use for the difference between two links, the plan counts each move with its own.
    [[nodiscard]] double price(Index vm, Index to);
    /// The same for a VM that has moved already.
    [[nodiscard]] double paid(Index vm) const { return prices_[pos(vm)]; }
    [[nodiscard]] MoveCost cost(Index vm, Index from, Index to) const;

  private:
    enum Word : std::int8_t { unasked, yes, no };

    [[nodiscard]] std::vector<Word>& row(Index vm);
    [[nodiscard]] bool judge(Index vm, Index to);

    const Model* model_;
    const MoveCosts* costs_;
    std::vector<std::vector<Word>> words_;  ///< by VM, then host; made when first asked
    std::vector<double> prices_;            ///< negative: unasked
    PlacementRequest request_;              ///< of the VM that was asked about last
    Index request_of_ = -1;
};

}  // namespace ballast::scheduler::plan
