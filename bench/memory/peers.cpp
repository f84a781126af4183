#include "bench/memory/peers.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ballast::bench {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;

namespace mom {

constexpr double pressure = 0.20;
constexpr double critical = 0.05;
constexpr double guest_free = 0.20;
constexpr double step = 0.05;
constexpr double least_change = 0.0025;

double shrunk(const PeerGuest& guest, double host_free) {
    const double keeps_free = host_free <= critical ? host_free - critical : guest_free * host_free / pressure;
    const double used = guest.balloon - guest.unused;
    const double floor = std::max(guest.minimum, used + keeps_free * guest.balloon);
    return std::min(std::max(guest.balloon * (1 - step), floor), guest.balloon);
}

double grown(const PeerGuest& guest) {
    return std::min(guest.balloon * (1 + step), guest.maximum);
}

}  // namespace mom

/// One pass of Proxmox over a list of guests.
class Spread {
  public:
    Spread(std::span<const PeerGuest> guests, std::vector<double>& targets) : guests_(guests), targets_(targets) {}

    /// Gives `bytes` (below 0: takes) to the guests of the list, and returns what is left.
    double over(std::vector<std::size_t> list, double bytes) {
        double rest = bytes;
        bool progress = true;
        while (std::abs(rest) > 1 && progress && !list.empty()) {
            const double changed = round(list, rest, bytes > 0);
            progress = std::abs(changed) > 1;
            rest -= changed;
        }
        return rest;
    }

  private:
    static constexpr double most = 100 * mebibyte;

    double round(std::vector<std::size_t>& list, double rest, bool grow) {
        double shares = 0;
        double above_minimum = rest;
        for (const std::size_t i : list) {
            shares += guests_[i].shares;
            above_minimum += targets_[i] - guests_[i].minimum;
        }
        double changed = 0;
        std::vector<std::size_t> again;
        for (const std::size_t i : list) {
            const PeerGuest& guest = guests_[i];
            const double desired =
                std::clamp(guest.minimum + above_minimum / shares * guest.shares, guest.minimum, guest.maximum);
            if (grow ? desired <= guest.balloon : desired >= guest.balloon) continue;
            const double target = std::clamp(desired, guest.balloon - most, guest.balloon + most);
            changed += target - targets_[i];
            targets_[i] = target;
            again.push_back(i);
        }
        list = std::move(again);
        return changed;
    }

    std::span<const PeerGuest> guests_;
    std::vector<double>& targets_;
};

}  // namespace

std::vector<double> mom_targets(std::span<const PeerGuest> guests, const PeerHost& host) {
    const double host_free = host.free / host.total;
    std::vector<double> targets;
    for (const PeerGuest& guest : guests) {
        const double target = host_free < mom::pressure ? mom::shrunk(guest, host_free) : mom::grown(guest);
        const bool enough = std::abs(target - guest.balloon) > mom::least_change * guest.balloon;
        targets.push_back(enough ? target : guest.balloon);
    }
    return targets;
}

std::vector<double> proxmox_targets(std::span<const PeerGuest> guests, const PeerHost& host) {
    constexpr double in_use = 0.8;
    constexpr double dead_band = 10 * mebibyte;
    std::vector<double> targets;
    std::vector<std::size_t> all;
    std::vector<std::size_t> short_of_memory;
    std::vector<std::size_t> donors;
    for (std::size_t i = 0; i < guests.size(); ++i) {
        const PeerGuest& guest = guests[i];
        targets.push_back(guest.balloon);
        if (guest.migrating || guest.shares <= 0 || guest.minimum <= 0) continue;
        all.push_back(i);
        (guest.unused > 0.25 * guest.minimum && guest.balloon >= guest.minimum ? donors : short_of_memory).push_back(i);
    }
    const double goal = in_use * host.total - (host.total - host.free);
    if (std::abs(goal) <= dead_band) return targets;
    Spread spread(guests, targets);
    const double rest = spread.over(goal > 0 ? short_of_memory : donors, goal);
    if (std::abs(rest - goal) < 1) spread.over(all, goal);  // no progress: all of them
    return targets;
}

PeerKsm mom_ksm(const PeerKsm& before, const PeerHost& host, double shareable) {
    constexpr double threshold = 0.20;
    const bool pressed = host.free < threshold * host.total;
    if (threshold * host.total + shareable < host.total && !pressed) return {};
    constexpr double baseline_bytes = 16.0 * 1024 * mebibyte;
    return {.run = true,
            .pages_to_scan = std::clamp(before.pages_to_scan + (pressed ? 300 : -50), 64, 1250),
            .sleep_ms = std::max(static_cast<int>(10 * baseline_bytes / host.total), 10)};
}

}  // namespace ballast::bench
