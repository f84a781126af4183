#pragma once
// The field as the annealer's arena (balance/anneal.h): looks where it hurts. Half of the VMs it offers are on hosts
// with contention, targets are such as the VM's host reaches. Decides nothing. Pure; belongs to one search.

#include <algorithm>
#include <vector>

#include "scheduler/balance/random.h"
#include "scheduler/plan/field.h"

namespace ballast::scheduler::plan {

class Focus : public Field {
  public:
    explicit Focus(const Field& field) : Field(field) {
        for (std::size_t i = 0; i < model().vms.size(); ++i)
            if (movable(static_cast<Index>(i))) movable_.push_back(static_cast<Index>(i));
        find_hot();
    }

    [[nodiscard]] bool possible() const { return !movable_.empty() && model().hosts.size() > 1; }
    [[nodiscard]] bool movable(Index vm) const { return model().vms[pos(vm)].movable; }
    [[nodiscard]] double price_of(Index vm, Index to) const { return price_change(vm, to); }
    void recount() {
        Field::recount();
        find_hot();
    }

    [[nodiscard]] Index any_vm(balance::Random& random) const {
        if (!hot_.empty() && (random.next() & 1U) != 0) {
            const auto& there = vms_on(hot_[pos(random.below(hot_.size()))]);
            if (!there.empty())
                if (const Index vm = there[pos(random.below(there.size()))]; movable(vm)) return vm;
        }
        return movable_[pos(random.below(movable_.size()))];
    }
    [[nodiscard]] Index any_target(balance::Random& random, Index vm) const {
        const auto& reach = model().hosts[pos(home_of(vm))].reach;
        return reach.empty() ? home_of(vm) : reach[pos(random.below(reach.size()))];
    }

    /// At the first temperature a move that gains nothing is now and then paid for, at the last none is.
    [[nodiscard]] double hottest() const { return 4 * least_cost; }
    [[nodiscard]] double cooled() const { return 0.0025; }

  private:
    void find_hot() {
        hot_.clear();
        for (std::size_t h = 0; h < model().hosts.size(); ++h)
            if (contention(static_cast<Index>(h)) > least_cost) hot_.push_back(static_cast<Index>(h));
    }

    std::vector<Index> movable_;
    std::vector<Index> hot_;
};

}  // namespace ballast::scheduler::plan
