#pragma once
// A small generator of pseudo-random numbers: the same seed gives the same numbers on every machine and with every
// standard library. SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Not for secrets. Pure.

#include <cstdint>

#include "scheduler/balance/problem.h"

namespace ballast::scheduler::balance {

class Random {
  public:
    Random(std::uint64_t seed, std::uint64_t stream)
        : state_((seed * 0xD1342543DE82EF95U) ^ ((stream + 1) * 0x9E3779B97F4A7C15U)) {}

    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31U);
    }
    /// 0 to below - 1. Precondition: below > 0.
    Index below(std::size_t below) {
        return static_cast<Index>(((next() >> 32U) * static_cast<std::uint64_t>(below)) >> 32U);
    }
    /// 0 to below 1.
    double unit() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

  private:
    std::uint64_t state_;
};

}  // namespace ballast::scheduler::balance
