#pragma once
// What VMs on a host are expected to want of its cores, with the one that is to come: the sum of their means, and of
// their variances, taken as independent. Pure.

#include "scheduler/rules/rule.h"

namespace ballast::scheduler {

/// Cores of the host that VMs may use, whatever is promised.
[[nodiscard]] double usable_cores(const Host& host);

class CpuDemand {
  public:
    /// Precondition: the load is known (candidate.around.load).
    explicit CpuDemand(const Candidate& candidate) : candidate_(candidate) {}

    /// Mean over the day, in cores.
    [[nodiscard]] double mean() const;
    /// Mean in one hour of the day (0 to 23).
    [[nodiscard]] double mean_at(std::size_t hour) const;
    [[nodiscard]] double deviation() const;

  private:
    /// Calls `visit(load, vcpus)` for every VM that counts, with nullptr where its load is not known.
    template <class Visit>
    void for_each_vm(Visit visit) const;
    const Candidate& candidate_;
};

/// Demand above the capacity, expected of a normal distribution (Raiffa and Schlaifer, Applied Statistical Decision
/// Theory, 1961): s x (phi(z) - z (1 - Phi(z))) with z = (capacity - mean) / s.
[[nodiscard]] double expected_excess(double mean, double deviation, double capacity);

}  // namespace ballast::scheduler
