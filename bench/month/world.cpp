#include "bench/month/world.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "core/try.h"
#include "drivers/simulated/cluster.h"

namespace ballast::bench {
namespace {

using drivers::simulated::CpuLoad;
using drivers::simulated::Instant;
using drivers::simulated::LoadPattern;
using Random = std::mt19937_64;

double uniform(Random& random, double low, double high) {
    return low + (high - low) * static_cast<double>(random() >> 11U) * 0x1p-53;
}

/// A kind of VMs as clusters have them: when it is busy, how much, and how much less at weekends.
struct Kind {
    double share;  ///< of all VMs
    LoadPattern pattern;
    double cpu;
    double swing;
    double peak_hour;
    double noise;
    double weekend;
    Seconds period{24 * 3600};
};

/// Offices by day, homes in the evening, batches by night, saw-teeth of some hours, and much that is nearly idle.
const std::vector<Kind> kinds{{.share = 0.34,
                               .pattern = LoadPattern::diurnal,
                               .cpu = 0.36,
                               .swing = 0.30,
                               .peak_hour = 14,
                               .noise = 0.08,
                               .weekend = 0.4},
                              {.share = 0.18,
                               .pattern = LoadPattern::diurnal,
                               .cpu = 0.34,
                               .swing = 0.26,
                               .peak_hour = 20.5,
                               .noise = 0.08,
                               .weekend = 1.2},
                              {.share = 0.12,
                               .pattern = LoadPattern::diurnal,
                               .cpu = 0.34,
                               .swing = 0.30,
                               .peak_hour = 3,
                               .noise = 0.10,
                               .weekend = 1.0},
                              {.share = 0.10,
                               .pattern = LoadPattern::sawtooth,
                               .cpu = 0.40,
                               .swing = 0.36,
                               .peak_hour = 0,
                               .noise = 0.05,
                               .weekend = 1.0,
                               .period = Seconds(4 * 3600)},
                              {.share = 0.06,
                               .pattern = LoadPattern::constant,
                               .cpu = 0.70,
                               .swing = 0,
                               .peak_hour = 0,
                               .noise = 0.10,
                               .weekend = 1.0},
                              {.share = 0.20,
                               .pattern = LoadPattern::constant,
                               .cpu = 0.10,
                               .swing = 0,
                               .peak_hour = 0,
                               .noise = 0.05,
                               .weekend = 1.0}};

constexpr std::int64_t gibibyte = std::int64_t{1} << 30;

MonthVm make_vm(Random& random, int kind) {
    constexpr int sizes[] = {1, 2, 2, 2, 4, 4, 8};
    MonthVm vm;
    vm.kind = kind;
    vm.vcpus = sizes[random() % std::size(sizes)];
    vm.memory = vm.vcpus * 2 * gibibyte;
    vm.touched = static_cast<std::int64_t>(static_cast<double>(vm.memory) * uniform(random, 0.4, 0.9));
    vm.dirty = uniform(random, 0.02, 0.4);
    return vm;
}

CpuLoad make_load(Random& random, const Kind& kind) {
    const double size = uniform(random, 0.6, 1.4);
    return {.pattern = kind.pattern,
            .cpu = std::min(1.0, kind.cpu * size),
            .swing = kind.swing * size,
            .peak_hour = std::fmod(kind.peak_hour + uniform(random, -1.5, 1.5) + 24, 24),
            .period = kind.period,
            .phase = kind.pattern == LoadPattern::sawtooth
                         ? Seconds(static_cast<std::int64_t>(uniform(random, 0, 4 * 3600)))
                         : Seconds(0),
            .noise = kind.noise,
            .noise_slot = Seconds(slot_s),
            .seed = random()};
}

bool is_weekend(int slot) {
    return slot / slots_per_day % 7 >= 5;
}

std::uint16_t thousandths(double cores) {
    return static_cast<std::uint16_t>(std::lround(std::clamp(cores, 0.0, 65.0) * 1000));
}

void fill_generated(MonthWorld& world, Random& random, double factor) {
    for (std::size_t i = 0; i < world.vms.size(); ++i) {
        const Kind& kind = kinds[static_cast<std::size_t>(world.vms[i].kind)];
        const CpuLoad load = make_load(random, kind);
        for (int slot = 0; slot < world.slots; ++slot) {
            double share = factor * share_at(load, Instant(Seconds(slot * std::int64_t{slot_s} + slot_s / 2)));
            if (is_weekend(slot)) share *= kind.weekend;
            share = std::min(1.0, share);
            world.demand[static_cast<std::size_t>(slot) * world.vms.size() + i] =
                thousandths(share * world.vms[i].vcpus);
        }
    }
}

/// A recorded day is played on each day of the month, a little louder or quieter.
void fill_traced(MonthWorld& world, Random& random, double factor,
                 const std::vector<std::shared_ptr<const drivers::simulated::Trace>>& traces) {
    for (std::size_t i = 0; i < world.vms.size(); ++i) {
        const auto& trace = *traces[random() % traces.size()];
        double loudness = 1;
        for (int slot = 0; slot < world.slots; ++slot) {
            if (slot % slots_per_day == 0) loudness = factor * uniform(random, 1.6, 2.4);
            const double share = std::min(1.0, loudness * trace[static_cast<std::size_t>(slot) % trace.size()]);
            world.demand[static_cast<std::size_t>(slot) * world.vms.size() + i] =
                thousandths(share * world.vms[i].vcpus);
        }
    }
}

/// As clusters grow: application by application, each on the hosts that had room when it came.
void place(MonthWorld& world, Random& random) {
    std::vector<std::size_t> order(world.vms.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(world.vms[i].kind, i); });
    std::vector<std::int64_t> used(static_cast<std::size_t>(world.hosts));
    world.start.assign(world.vms.size(), 0);
    for (const std::size_t vm : order) {
        std::size_t host = random() % used.size();
        for (int tries = 0; tries < 2; ++tries)  // the roomier of three
            if (const std::size_t other = random() % used.size(); used[other] < used[host]) host = other;
        while (used[host] + world.vms[vm].memory > world.memory) host = (host + 1) % used.size();
        used[host] += world.vms[vm].memory;
        world.start[vm] = static_cast<int>(host);
    }
}

}  // namespace

double unservable_core_s(const MonthWorld& world) {
    double sum = 0;
    for (int slot = 0; slot < world.slots; ++slot) {
        double wanted = 0;
        for (std::size_t vm = 0; vm < world.vms.size(); ++vm) wanted += world.cores_of(slot, vm);
        sum += std::max(0.0, wanted - world.cores * world.hosts) * slot_s;
    }
    return sum;
}

Result<MonthWorld> make_month(const MonthOptions& options) {
    Random random(options.seed);
    MonthWorld world;
    world.hosts = options.hosts;
    world.slots = options.days * slots_per_day;
    world.memory = 256 * gibibyte;
    std::vector<double> until;
    double sum = 0;
    for (const Kind& kind : kinds) until.push_back(sum += kind.share);
    for (int i = 0; i < options.vms; ++i) {
        const double at = uniform(random, 0, sum);
        const auto kind = std::ranges::upper_bound(until, at) - until.begin();
        world.vms.push_back(make_vm(random, static_cast<int>(kind)));
    }
    place(world, random);
    world.demand.assign(static_cast<std::size_t>(world.slots) * world.vms.size(), 0);
    if (options.traces.empty()) {
        fill_generated(world, random, options.load);
        return world;
    }
    BALLAST_TRY(const auto traces, drivers::simulated::read_traces(options.traces));
    fill_traced(world, random, options.load, traces);
    return world;
}

}  // namespace ballast::bench
