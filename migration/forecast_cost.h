#pragma once
// What a mode costs at one end of what is known (forecast.h puts the ends together): the input as plain numbers, and
// the four modes' arithmetic. Pure, and not for other modules.

#include "migration/forecast.h"
#include "migration/forecast_model.h"

namespace ballast::migration::model {

/// Convergence is called "uncertain" where this much more or less bandwidth changes the answer.
inline constexpr double band = 1.15;

/// The input at one end of its ranges, as the cheapest (`low`), likely and dearest (`high`) case: bytes, bytes/s,
/// seconds.
struct Case {
    double content;
    double push;  ///< bytes/s before a switch
    double pull;  ///< after it
    double line;
    Load load;
    double setup;
    double socket;  ///< seconds for what the socket holds when the guest is stopped
    double switch_over;
    double switch_to_pull;
    double finish;
    double disks;
    double delta;  ///< of a page, as XBZRLE sends it again
};

[[nodiscard]] Case case_of(const ForecastInput& input, Bound bound);

/// What one mode costs in one case.
struct Cost {
    double total = 0;
    double downtime = 0;
    double bytes = 0;
    double brown_out = 0;
    int rounds = 1;
};

[[nodiscard]] PreCopy pre_copy_of(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs,
                                  int rounds = 0);
[[nodiscard]] Cost cost_of(const ForecastInput& input, MigrationMode mode, const Case& one,
                           const MigrationKnobs& knobs);

/// The load at its best (Bound::low) or worst (Bound::high) that is still likely: half-way to the ends of a measured
/// curve, the ends themselves of one that is only assumed. What is not known of the order of the writes counts against
/// it at the worst.
[[nodiscard]] Load leaning_load(const ForecastInput& input, Bound end);

/// Whether pre-copy under this load ends, without any knob, at `factor` times the bandwidth and with this share of the
/// guest's time taken.
[[nodiscard]] bool ends_with(const ForecastInput& input, const Load& load, double factor, double throttle);

}  // namespace ballast::migration::model
