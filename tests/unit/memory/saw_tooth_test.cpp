// Hosts whose guests' working sets rise and fall with periods from seconds to minutes, together or in two groups that
// take turns: as long as all fit at their highest, no host becomes critical. Simulated second by second: guests with
// page cache, swap devices and balloons that need their time, and a controller that looks every two seconds.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "drivers/simulated/guest_memory.h"
#include "memory/control.h"
#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

namespace sim = drivers::simulated;

constexpr double mebibyte = 1024.0 * 1024.0;
constexpr double host_mib = 8'192;
constexpr double own_mib = 512;
constexpr double qemu_mib = 100;
constexpr int before = 300;  ///< seconds in which nothing swings yet
constexpr int swings = 900;

struct Tooth {
    double low = 0;  ///< MiB
    double high = 0;
    double maximum = 0;
    double phase = 0;  ///< of the period
};

struct TeethCase {
    MemoryPolicy policy = MemoryPolicy::balanced;
    std::vector<Tooth> guests;
    int period = 60;
    double high_for = 0.5;  ///< of the period
    bool slopes = false;    ///< rises evenly and falls at once; else it is low or high
    bool sees_pressure = true;
    bool reports = true;  ///< free pages
    double cache = 100;   ///< MiB that a guest fills where it can
    double minimum = 64;
    [[nodiscard]] std::string words() const {
        return fmt::format("{} guests, policy {}, {} every {} s, high for {:.2f}", guests.size(),
                           static_cast<int>(policy), slopes ? "slopes" : "steps", period, high_for);
    }
};

double wanted(const TeethCase& teeth, const Tooth& tooth, int second) {
    if (second < before) return tooth.low;
    const double position = std::fmod((second - before) / static_cast<double>(teeth.period) + tooth.phase, 1.0);
    if (teeth.slopes) return tooth.low + (tooth.high - tooth.low) * position;
    return position < teeth.high_for ? tooth.high : tooth.low;
}

Bytes bytes(double value) {
    return Bytes(static_cast<std::int64_t>(std::max(value, 0.0)));
}

/// One host through all of it.
class Teeth {
  public:
    explicit Teeth(const TeethCase& teeth) : teeth_(teeth), guests_(teeth.guests.size()), vms_(teeth.guests.size()) {
        load_.cache = bytes(teeth.cache * mebibyte);
        host_.total = bytes(host_mib * mebibyte);
        host_.reserved = bytes(own_mib * mebibyte);
        for (std::size_t i = 0; i < guests_.size(); ++i) {
            VmMemory& vm = vms_[i];
            vm.id = VmId(fmt::format("vm{:02}", i));
            vm.name = vm.id.str();
            vm.maximum = bytes(teeth.guests[i].maximum * mebibyte);
            vm.minimum = bytes(teeth.minimum * mebibyte);
            vm.overhead = bytes(qemu_mib * mebibyte);
            guests_[i].maximum = guests_[i].balloon = guests_[i].target = static_cast<double>(vm.maximum.count());
        }
    }

    /// The worst level that was reached while working sets swing.
    Level worst() {
        Level worst = Level::comfortable;
        for (int second = 0; second < before + swings; ++second) {
            pass(second);
            if (second % 2 != 0) continue;
            look(second);
            if (second >= before) worst = std::max(worst, memo_.ladder.level);
        }
        return worst;
    }
    [[nodiscard]] double speed() const { return speed_ / (swings * static_cast<double>(guests_.size())); }

  private:
    /// Every guest one second on, then what is left of the host.
    void pass(int second) {
        double held = 0;
        double used = 0;
        for (std::size_t i = 0; i < guests_.size(); ++i) {
            sim::GuestMemory& guest = guests_[i];
            sim::advance(guest, load_, wanted(teeth_, teeth_.guests[i], second) * mebibyte, 1,
                         {.follows = true, .reports = teeth_.reports, .autodeflate = true});
            held += guest.held + qemu_mib * mebibyte;
            used += guest.anonymous;
            if (second >= before) speed_ += guest.speed;
        }
        const double left = (host_mib - own_mib) * mebibyte - held;
        host_.free = bytes(left);
        if (!teeth_.sees_pressure) return;
        const double out = std::max(-left - (held - used), 0.0);  // pages in use that the host had to swap out
        host_.pressure = out > 0 ? 0.5 : 0.0;
        host_.swap_in = BytesPerSecond(static_cast<std::int64_t>(out / 10));
    }

    void look(int second) {
        const Timestamp now = test::noon + Seconds(second);
        for (std::size_t i = 0; i < guests_.size(); ++i) vms_[i].reading = reading_of(guests_[i], now);
        const bool due = second - decided_ >= 10 || memo_.ladder.level >= Level::pressed || sweep_at_once(vms_, memo_);
        if (!due) return;
        decided_ = second;
        auto [decisions, next] = control(host_, vms_, memo_, teeth_.policy, now);
        memo_ = std::move(next);
        for (const BalloonMove& move : decisions.balloons) {
            const auto at = std::ranges::find(vms_, move.vm, &VmMemory::id) - vms_.begin();
            guests_[static_cast<std::size_t>(at)].target = static_cast<double>(move.to.count());
        }
    }

    static GuestReading reading_of(const sim::GuestMemory& guest, Timestamp now) {
        return {.at = now,
                .balloon = bytes(guest.balloon),
                .unused = bytes(guest.balloon - guest.anonymous - guest.cache),
                .usable = bytes(guest.balloon - guest.anonymous),
                .available = bytes(guest.balloon),
                .disk_caches = bytes(guest.cache),
                .swap_in = bytes(guest.swap_in),
                .swap_out = bytes(guest.swap_out),
                .major_faults = static_cast<std::uint64_t>(guest.major_faults),
                .resident = bytes(guest.held + qemu_mib * mebibyte)};
    }

    const TeethCase& teeth_;
    sim::MemoryLoad load_;
    HostMemory host_;
    std::vector<sim::GuestMemory> guests_;
    std::vector<VmMemory> vms_;
    HostMemo memo_;
    int decided_ = -100;
    double speed_ = 0;
};

/// Some host: at their highest all guests together take 60 to 100 % of what it has for them.
TeethCase some_host(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto part = [&] { return static_cast<double>(random() >> 11U) * 0x1.0p-53; };
    const auto below = [&](std::uint64_t count) { return static_cast<int>(random() % count); };
    constexpr std::array periods{20, 24, 30, 36, 44, 56, 70, 90, 120, 160, 220, 300};
    TeethCase made;
    made.policy = below(2) == 0 ? MemoryPolicy::balanced : MemoryPolicy::dense;
    made.period = periods.at(static_cast<std::size_t>(below(periods.size())));
    made.high_for = 0.25 + 0.6 * part();
    made.slopes = below(3) == 0;
    made.sees_pressure = below(4) != 0;
    made.reports = below(3) != 0;
    made.cache = below(3) == 0 ? 1'024 : below(300);
    const double steady = 0.7 * part();
    const double low = 0.05 + 0.5 * part();
    const bool turns = below(2) == 0;
    double sum = 0;
    for (int i = 0, count = 4 + below(14); i < count; ++i) {
        Tooth tooth{.high = 1 + 3 * part()};
        tooth.low = part() < steady ? tooth.high : tooth.high * low;
        tooth.phase = 0.05 * part() + (turns && i % 2 == 1 ? 0.5 : 0);
        tooth.maximum = tooth.high * (1.2 + 2 * part());
        sum += tooth.high;
        made.guests.push_back(tooth);
    }
    const double reserve =
        static_cast<double>(
            reserve_of(policy_of(made.policy), bytes(host_mib * mebibyte), made.sees_pressure).count()) /
        mebibyte;
    const double room = host_mib - own_mib - reserve - qemu_mib * static_cast<double>(made.guests.size());
    const double scale = room * (0.6 + 0.4 * part()) / sum;
    double lowest = room;
    for (Tooth& tooth : made.guests) {
        for (double* size : {&tooth.low, &tooth.high, &tooth.maximum}) *size *= scale;
        lowest = std::min(lowest, tooth.low);
    }
    made.minimum = std::max(0.6 * lowest, 64.0);
    return made;
}

TEST(SawTooth, BringsNoHostToCriticalWhereAllFitAtTheirHighest) {
    double speed = 0;
    constexpr std::uint64_t hosts = 300;
    for (std::uint64_t seed = 0; seed < hosts; ++seed) {
        const TeethCase teeth = some_host(seed);
        Teeth host(teeth);
        EXPECT_LT(host.worst(), Level::critical) << "seed " << seed << ": " << teeth.words();
        speed += host.speed() / hosts;
    }
    EXPECT_GT(speed, 0.99) << "of their work, all guests together";
}

}  // namespace
}  // namespace ballast::memory
