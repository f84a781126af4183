#pragma once
// Where the VMs are during a search, and what the next step would be worth: a step's price is found from the two hosts
// it touches and the hours of the stay, whatever the size of the cluster. Decides whether a step is possible by room,
// groups and rates; never which one is taken. Pure; one field belongs to one search. It has the shape of
// balance/state.h, so that the same search runs on both.
//
// The potential, in seconds over the stay:
//
//     sum over hosts of expected contention (contention.h) + order_worth for each VM that must leave and has not
//
// What a plan has to pay is added by `paid()`: price (ledger.h) for each VM that is not where it was.

#include <algorithm>
#include <vector>

#include "scheduler/plan/contention.h"
#include "scheduler/plan/group_book.h"
#include "scheduler/plan/ledger.h"
#include "scheduler/plan/model.h"

namespace ballast::scheduler::plan {

/// An order (empty this host, mend this rule) is worth more than any contention it makes: a day of a hundred cores.
inline constexpr double order_worth = 100.0 * 86400;
/// Of an ordered move back to where the VM came from within the window: only where there is no other place.
inline constexpr double return_worth = 3600;

class Field {
  public:
    /// One VM to another host; with `other`, that one takes its place in exchange.
    struct Step {
        Index vm = 0;
        Index to = 0;
        Index other = -1;
    };

    Field(const Model& model, Ledger& ledger, Assignment at);

    [[nodiscard]] const Model& model() const { return *model_; }
    [[nodiscard]] Ledger& ledger() const { return *ledger_; }
    [[nodiscard]] Index host_of(Index vm) const { return at_[pos(vm)]; }
    [[nodiscard]] Index home_of(Index vm) const { return model_->vms[pos(vm)].home; }
    [[nodiscard]] const Assignment& assignment() const { return at_; }
    [[nodiscard]] const std::vector<Index>& vms_on(Index host) const { return members_[pos(host)]; }
    /// VMs that are not where they were in the beginning.
    [[nodiscard]] const std::vector<Index>& displaced() const { return displaced_; }
    [[nodiscard]] bool is_home(Index vm) const { return home_of(vm) == at_[pos(vm)]; }
    [[nodiscard]] double score() const { return score_; }
    [[nodiscard]] double contention(Index host) const { return sums_[pos(host)].contention; }
    [[nodiscard]] double contention() const;
    /// Contention that its host would lose if the VM left.
    [[nodiscard]] double relief(Index vm) const {
        return contention(host_of(vm)) - contention_with(host_of(vm), {-1, vm});
    }
    [[nodiscard]] std::int64_t free_memory(Index host) const {
        return model_->hosts[pos(host)].memory - sums_[pos(host)].memory;
    }
    /// Mean cores in use, over the stay.
    [[nodiscard]] double cpu_mean(Index host) const;
    /// Cores that are left in the worst hour, a deviation kept: what makes a host a likely target.
    [[nodiscard]] double slack(Index host) const;
    /// Whether demand fits at its forecast peak: in every hour mean + 2 deviations, and the working sets likewise.
    [[nodiscard]] bool peak_fits(Index host) const;

    [[nodiscard]] Step shift(Index vm, Index to) const { return {vm, to, -1}; }
    [[nodiscard]] Step exchange(Index vm, Index other) const { return {vm, at_[pos(other)], other}; }
    [[nodiscard]] bool fits(const Step& step) const { return has_room(step) && within_rates(step); }
    /// Memory, vCPUs and anti-affinity alone.
    [[nodiscard]] bool has_room(const Step& step) const;
    /// The bound on moves of each host.
    [[nodiscard]] bool within_rates(const Step& step) const;
    /// The rules' and the forecast's word; slower than fits(), so asked of steps that would be taken.
    [[nodiscard]] bool permits(const Step& step) const;
    [[nodiscard]] double score_after(const Step& step) const;
    /// What going there adds to paid().
    [[nodiscard]] double price_change(Index vm, Index to) const;
    [[nodiscard]] double price_change(const Step& step) const;
    [[nodiscard]] double paid() const { return paid_; }

    void make_shift(Index vm, Index to);
    void make_exchange(Index vm, Index other);
    /// Sums anew from the rows: rounding errors of many steps end here.
    void recount();

  private:
    struct Sums {
        std::int64_t memory = 0;
        std::int64_t vcpus = 0;
        std::int64_t touched = 0;  ///< moves that the present places mean for this host
        double cpu_variance = 0;
        double memory_mean = 0;
        double memory_variance = 0;
        double contention = 0;  ///< seconds over the stay
    };
    /// What leaves and what comes, -1: nobody.
    struct Change {
        Index add = -1;
        Index drop = -1;
    };

    [[nodiscard]] const HostRow& host_row(Index host) const { return model_->hosts[pos(host)]; }
    [[nodiscard]] const VmRow& vm_row(Index vm) const { return model_->vms[pos(vm)]; }
    [[nodiscard]] double contention_with(Index host, const Change& change) const;
    [[nodiscard]] bool takes(Index host, const Change& change) const;
    [[nodiscard]] double owed(Index vm, Index at) const;
    [[nodiscard]] bool groups_accept(Index vm, Index to, Index leaves) const;
    void add(Index vm, Index host, int sign);
    void relocate(Index vm, Index to);
    static void remove_at(std::vector<Index>& list, std::vector<Index>& slots, Index slot);

    const Model* model_;
    Ledger* ledger_;
    const LossTable* loss_;
    std::size_t width_;  ///< slots of the stay
    Assignment at_;
    mutable GroupBook groups_;  ///< asked with one VM taken away for the moment
    std::vector<Sums> sums_;
    std::vector<double> cpu_;   ///< by host, then slot
    std::vector<double> none_;  ///< a VM that uses nothing
    std::vector<std::vector<Index>> members_;
    std::vector<Index> slot_;
    std::vector<Index> displaced_;
    std::vector<Index> displaced_slot_;
    double score_ = 0;
    double paid_ = 0;
};

}  // namespace ballast::scheduler::plan
