#include "drivers/simulated/load.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ballast::drivers::simulated {
namespace {

/// Steele, Lea, Flood: SplitMix64 (OOPSLA 2014): every slot has a number of its own, whoever asked before.
std::uint64_t mix(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15U;
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
}

/// Nearly normal, of mean 0 and deviation 1: the sum of four uniform numbers of 16 bits.
double deviate(std::uint64_t seed, std::int64_t slot) {
    std::uint64_t bits = mix(seed ^ mix(static_cast<std::uint64_t>(slot)));
    double sum = 0;
    for (int i = 0; i < 4; ++i, bits >>= 16U) sum += static_cast<double>(bits & 0xffffU) / 65536.0;
    return (sum - 2) * std::numbers::sqrt3;
}

double undisturbed(const CpuLoad& load, double seconds) {
    switch (load.pattern) {
        case LoadPattern::constant:
            return load.cpu;
        case LoadPattern::diurnal:
            return load.cpu +
                   load.swing * std::cos(2 * std::numbers::pi * position(load.period, seconds - load.peak_hour * 3600));
        case LoadPattern::sawtooth:
            return load.cpu - load.swing + 2 * load.swing * position(load.period, seconds);
        case LoadPattern::planetlab: {
            if (!load.trace || load.trace->empty()) return 0;
            const auto slot =
                static_cast<std::uint64_t>(std::max(0.0, seconds)) / static_cast<std::uint64_t>(trace_slot.count());
            return load.cpu * (*load.trace)[slot % load.trace->size()];
        }
    }
    return 0;
}

}  // namespace

double position(Seconds period, double seconds) {
    const auto length = static_cast<double>(std::max<std::int64_t>(period.count(), 1));
    const double turns = seconds / length;
    return turns - std::floor(turns);
}

double share_at(const CpuLoad& load, Instant when) {
    const double seconds = std::chrono::duration<double>(when.time_since_epoch() + load.phase).count();
    double share = undisturbed(load, seconds);
    if (load.noise > 0) {
        const auto slot = static_cast<double>(std::max<std::int64_t>(load.noise_slot.count(), 1));
        share += load.noise * deviate(load.seed, static_cast<std::int64_t>(seconds / slot));
    }
    return std::clamp(share, 0.0, 1.0);
}

}  // namespace ballast::drivers::simulated
