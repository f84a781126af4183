#pragma once
// How far the demands of a host's VMs go together, within groups and between any two, and how long they stay. Measured
// from sums: independent demands have sums whose variance is the sum of their variances, and what is more is common.
// Decides nothing. Pure.
//
//   group = sum over groups (V_g - sum s^2) / sum over groups ((sum s)^2 - sum s^2)
//   host  = (V - sum over groups V_g) / ((sum s)^2 - sum over groups (sum of the group's s)^2)
// with V of the host's sum, V_g of a group's (a VM without a group is one of its own), s a VM's deviation.
//
// Demands that are drawn anew every tau on average change their sum by D(t) = D (1 - exp(-t / tau)), half of its mean
// square within t. What swings by the day hardly changes within minutes, so with a lag of 10 minutes
//   persistence = lag / -ln(D(2 lag) / D(lag) - 1).
//
// All are taken together with what was believed before, which counts as 6 hours of a host that was never seen. When VMs
// come or go the sums begin anew, and what was found is what is believed from then on.

#include <map>
#include <span>
#include <string>
#include <string_view>

#include <boost/describe/class.hpp>

#include "core/units.h"
#include "memory/risk.h"

namespace ballast::memory {

/// Mean and variance of a sum, over about a day. West's weighted update, as for one working set.
struct SumMemo {
    double mean = 0;
    double variance = 0;
    friend bool operator==(const SumMemo&, const SumMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(SumMemo, (), (mean, variance))

struct CorrelationMemo {
    double group = 0;  ///< as it is known now
    double host = 0;
    double draws = 0;         ///< 1 / persistence, per second
    double group_before = 0;  ///< believed when the sums began
    double host_before = 0;
    double draws_before = 0;
    Milliseconds believed{0};   ///< what that counts as
    Timestamp at;               ///< the epoch: nothing was seen yet
    Milliseconds watched{0};    ///< these sums
    std::uint64_t members = 0;  ///< a digest of who is in the sums
    SumMemo all;
    std::map<std::string, SumMemo> groups;
    Timestamp lagged_at;
    double lagged = 0;        ///< the host's sum at `lagged_at`
    double lagged_twice = 0;  ///< and a lag before that
    int in_row = 0;           ///< lags without a gap
    int lags = 0;             ///< that were counted, since the sums began
    double change = 0;        ///< D(lag), bytes^2
    double change_twice = 0;  ///< D(2 lag)
    friend bool operator==(const CorrelationMemo&, const CorrelationMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(CorrelationMemo, (),
                      (group, host, draws, group_before, host_before, draws_before, believed, at, watched, members, all,
                       groups, lagged_at, lagged, lagged_twice, in_row, lags, change, change_twice))

/// One VM of the sums.
struct CorrelationPart {
    std::uint64_t id = 0;  ///< a digest of its id
    std::string_view group;
    Bytes needed;
    Bytes deviation;
};

/// What is believed of a host that was never seen counts as so much watching.
constexpr Milliseconds usual_first_belief{6 * 3'600'000};

/// With one more sweep. `usual`: what is believed of a host that was never seen.
[[nodiscard]] CorrelationMemo correlated(CorrelationMemo memo, std::span<const CorrelationPart> parts,
                                         const RiskModel& usual, Timestamp now,
                                         Milliseconds first_belief = usual_first_belief);

/// The usual model with the correlations and the persistence that were found.
[[nodiscard]] RiskModel measured_model(const CorrelationMemo& memo, RiskModel usual);

}  // namespace ballast::memory
