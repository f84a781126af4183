#pragma once
// What a simulated guest does with its vCPUs over time: constant, with the hour of the day, a saw-tooth, or a recorded
// trace; with noise on top. The share at a moment depends on the load and that moment alone, so it is the same however
// often anybody looks. Pure.

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/describe/enum.hpp>

#include "core/units.h"
#include "drivers/simulated/virtual_time.h"

namespace ballast::drivers::simulated {

enum class LoadPattern : std::uint8_t { constant, diurnal, sawtooth, planetlab };
BOOST_DESCRIBE_ENUM(LoadPattern, constant, diurnal, sawtooth, planetlab)

/// Shares of the VM's vCPUs, 0 to 1, one per `trace_slot`; goes round.
using Trace = std::vector<double>;
inline constexpr Seconds trace_slot{300};  ///< of the PlanetLab traces

struct CpuLoad {
    LoadPattern pattern = LoadPattern::constant;
    double cpu = 0.1;                      ///< mean share of its vCPUs; of a trace: a factor
    double swing = 0;                      ///< diurnal, saw-tooth: from cpu - swing to cpu + swing
    double peak_hour = 14;                 ///< diurnal: when it is busiest, UTC
    Seconds period{24 * 3600};             ///< diurnal, saw-tooth
    Seconds phase{0};                      ///< how much earlier than others of its kind
    double noise = 0;                      ///< standard deviation
    Seconds noise_slot{300};               ///< how long one deviation lasts
    std::uint64_t seed = 0;                ///< of the noise
    std::shared_ptr<const Trace> trace{};  ///< planetlab
};

/// Where in its period a load is, 0 to 1.
[[nodiscard]] double position(Seconds period, double seconds);

/// Share of its vCPUs that the guest wants at this moment, 0 to 1.
[[nodiscard]] double share_at(const CpuLoad& load, Instant when);

}  // namespace ballast::drivers::simulated
