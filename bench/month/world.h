#pragma once
// The month's cluster: hosts, VMs, and what every VM demands in every slot of five minutes, made beforehand from a seed
// (or from PlanetLab traces) and known to nobody but the meter. A policy sees the slots that are over.

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/units.h"
#include "drivers/simulated/load.h"

namespace ballast::bench {

inline constexpr int slot_s = 300;
inline constexpr int slots_per_hour = 3600 / slot_s;
inline constexpr int slots_per_day = 24 * slots_per_hour;

struct MonthOptions {
    std::uint64_t seed = 11;
    int hosts = 200;
    int vms = 4'000;
    int days = 30;
    double load = 1.1;   ///< factor on every demand: how full the cluster is
    std::string traces;  ///< folder of PlanetLab traces; empty: generated loads
};

struct MonthVm {
    int vcpus = 1;
    std::int64_t memory = 0;   ///< promised, bytes
    std::int64_t touched = 0;  ///< what a migration sends
    double dirty = 0;          ///< share of the link that its dirtying takes: 1 / (1 - dirty) times the bytes
    int kind = 0;
};

struct MonthWorld {
    double cores = 32;
    std::int64_t memory = 0;
    int hosts = 0;
    int slots = 0;
    std::vector<MonthVm> vms;
    std::vector<int> start;             ///< host of each VM at the beginning
    std::vector<std::uint16_t> demand;  ///< by slot, then by VM: thousandths of a core

    [[nodiscard]] double cores_of(int slot, std::size_t vm) const {
        return demand[static_cast<std::size_t>(slot) * vms.size() + vm] / 1000.0;
    }
};

/// Core seconds of demand beyond all the cores of the cluster: what no placement serves.
[[nodiscard]] double unservable_core_s(const MonthWorld& world);

/// Errors: those of the traces.
[[nodiscard]] Result<MonthWorld> make_month(const MonthOptions& options);

}  // namespace ballast::bench
