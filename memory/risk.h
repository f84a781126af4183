#pragma once
// How likely it is that the VMs of a host want more memory than there is. Decides nothing. Pure.
//
// The model. Each VM's demand is a share of its maximum, X_i = M_i Phi(a_i + b_i z_i) (normal.h), fitted to the mean
// and the deviation of its working set. The z_i are normal and correlated: by `group` (g) within a group of alike VMs,
// by `host` (h) between any two. Z is the factor of the group with the largest common variance, on which the others
// hang too:
//   z_i = l_i Z + sqrt(1 - l_i^2) e_i,   l_i = sqrt(g) in that group, h / sqrt(g) elsewhere.
// Where there is no group, Z is common to all and l_i = sqrt(h). What else the e_i have in common is added to the
// moments of the sum, which given Z are those of independent demands. So
//   P(S > c) = integral of P(S > c | Z) phi(Z) dZ,  P(S > c | Z) by the first three moments (Pearson III),
// on 29 points. tests/unit/memory/risk_test.cpp draws from the model and finds the same within a factor of 2;
// for a single VM it may be stated up to 4 times too high.
//
// Within a time T: each demand is drawn anew about every `persistence`. As a whole the sum would be drawn T /
// persistence times more; as a sum of many parts it moves in small steps, and passes u = Phi^-1(1 - p) at about u^2
// times that rate (Pickands, 1969, for the Ornstein-Uhlenbeck process). Its steps are not infinitely small, which is as
// if u were higher by 0.583 of a step (Siegmund, 1985), of sqrt(2 / n) deviations where n parts vary alike:
//   P(T) = 1 - (1 - p)^(1 + k T / persistence),  k = max(1, u^2 exp(-0.583 u sqrt(2 / n))),  n = (sum s^2)^2 / sum s^4.

#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/units.h"
#include "memory/normal.h"

namespace ballast::memory {

/// What a VM wants, with QEMU's own need in it: the figures of scheduler/memory_demand.h, and its group.
struct Demand {
    Bytes maximum;
    Bytes minimum;      ///< guaranteed
    Bytes working_set;  ///< mean
    Bytes deviation;
    std::string group;  ///< of VMs whose demand goes together; empty: none
    friend bool operator==(const Demand&, const Demand&) = default;
};

struct RiskModel {
    double group = 0.3;  ///< correlation within a group
    double host = 0.05;  ///< between any two VMs
    Milliseconds horizon{3'600'000};
    Milliseconds persistence{15 * 60'000};
    friend bool operator==(const RiskModel&, const RiskModel&) = default;
};
BOOST_DESCRIBE_STRUCT(RiskModel, (), (group, host, horizon, persistence))

/// The sum of all demands, ready to be asked.
class DemandSum {
  public:
    DemandSum(std::span<const Demand> demands, const RiskModel& model);

    /// P(S > c) at one moment.
    [[nodiscard]] double exceeds(Bytes capacity) const;
    /// P(S > c at some time within the horizon).
    [[nodiscard]] double exceeds_within_horizon(Bytes capacity) const;
    /// The demand that is exceeded with this probability at one moment, within 1 MiB.
    [[nodiscard]] Bytes at_most(double exceeded) const;
    /// The least capacity at which the risk within the horizon is this.
    [[nodiscard]] Bytes capacity_for(double risk) const;
    [[nodiscard]] Bytes mean() const { return mean_; }
    [[nodiscard]] Bytes minimums() const { return minimums_; }
    [[nodiscard]] Bytes maximums() const { return maximums_; }

  private:
    struct Given {
        double weight;
        Moments sum;
    };
    template <class Tail>
    [[nodiscard]] Bytes least_with(Tail tail, double limit) const;

    RiskModel model_;
    std::vector<Given> given_;
    Bytes mean_;
    Bytes minimums_;
    Bytes maximums_;
    double parts_ = 1;  ///< n
};

}  // namespace ballast::memory
