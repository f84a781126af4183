#pragma once
// Expected contention: how much demand a host cannot serve at once, in seconds of waiting. Decides nothing. Pure.
//
// Demand X of a host is the sum of its VMs' demands, taken as independent and so as normal: mean and variance add up.
// What exceeds the capacity C waits. Its expectation is the loss integral of the normal distribution (Raiffa and
// Schlaifer, Applied Statistical Decision Theory, 1961; the newsvendor's expected shortage):
//
//     E[(X - C)+] = s * L(z),   z = (C - m) / s,   L(z) = phi(z) - z * (1 - Phi(z))
//
// m, s, C in cores give cores that wait; over T seconds that is T * E[(X - C)+] seconds of contention: one second is
// one vCPU that wants to run and waits for one second. For memory, m, s and C are in bytes (working sets against what
// VMs may use), and every share of the capacity that is missing stalls `stall` times that share of the host's cores.

#include <array>
#include <cmath>
#include <cstddef>

namespace ballast::scheduler::plan {

/// A tenth of its working sets missing keeps a host's cores waiting for pages: a fault to disk takes about 100 us where
/// memory takes 100 ns, so that the first per cents decide. Linear, so that contention stays convex in memory.
inline constexpr double memory_stall = 10;

/// L(z), exactly. Slow: what the table is made from and the lower bound uses.
[[nodiscard]] double normal_loss(double z);

/// L(z) from a table with linear interpolation: an error below 3e-5 s, never too small.
class LossTable {
  public:
    LossTable();

    /// E[(X - capacity)+].
    [[nodiscard]] double excess(double mean, double deviation, double capacity) const {
        const double over = mean - capacity;
        if (over <= -end * deviation) return 0;
        if (over >= end * deviation) return over;
        const double at = (end - over / deviation) * steps;  // z = -over / deviation, from -end
        const auto cell = static_cast<std::size_t>(at);
        const double part = at - static_cast<double>(cell);
        return deviation * (values_[cell] + part * (values_[cell + 1] - values_[cell]));
    }

  private:
    static constexpr double end = 6;  ///< beyond it the loss is 0 or linear
    static constexpr double steps = 64;
    std::array<double, static_cast<std::size_t>(2 * end * steps) + 2> values_{};
};

[[nodiscard]] const LossTable& loss_table();

}  // namespace ballast::scheduler::plan
