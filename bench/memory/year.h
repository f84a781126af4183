#pragma once
// Is the stated risk true? Hosts are filled with VMs until admission refuses one, by working sets that the estimator
// learned in two weeks of watching; then a year passes, and the hours are counted in which demand was above what the
// host could give. Demand is drawn by other laws than the model's: lognormal, on and off, with a daily swing, drawn
// anew every 15 minutes on average, alike within groups.

#include <cstdint>

namespace ballast::bench {

struct YearOptions {
    int hosts = 100;
    int days = 365;
    int watched_days = 14;
    double host_gib = 64;
    double minutes_between_draws = 15;
    double risk = 0.001;
    std::uint64_t seed = 1;
};

struct YearResult {
    double vms_per_host = 0;
    double promised = 0;       ///< maximums, of what the hosts have
    double stated = 0;         ///< mean risk within an hour, of all hosts
    double found = 0;          ///< share of hours in which demand exceeded
    double stated_moment = 0;  ///< the same at one moment
    double found_moment = 0;   ///< share of time
    double hours = 0;
    double group_correlation = 0;  ///< as measured, mean of all hosts
    double host_correlation = 0;
    double persistence_min = 0;
};

[[nodiscard]] YearResult play_year(const YearOptions& options);

}  // namespace ballast::bench
