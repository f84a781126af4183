#include "bench/memory/crowd.h"

#include <algorithm>
#include <cmath>

namespace ballast::bench {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;
constexpr double gibibyte = 1024 * mebibyte;
constexpr double touch = 300 * mebibyte;     ///< new memory that a guest fills in a second
constexpr double disk = 60 * mebibyte;       ///< that it swaps in or out in a second
constexpr double reads = 40 * mebibyte;      ///< page cache that it fills in a second
constexpr double inflates = 400 * mebibyte;  ///< balloon, per second
constexpr double deflates = 2'000 * mebibyte;
constexpr double page = 4096;
constexpr double guest_maximum = 4 * gibibyte;
constexpr double host_own = gibibyte;
constexpr double qemu = 100 * mebibyte;

double toward(double from, double to, double step) {
    return from < to ? std::min(from + step, to) : std::max(from - step, to);
}

/// Moves the balloon; memory for it comes from what is free, then from the cache, then the guest must swap out first.
void move_balloon(CrowdGuest& guest) {
    if (guest.target >= guest.balloon) {
        guest.balloon = toward(guest.balloon, guest.target, deflates);
        return;
    }
    const double after = std::max(guest.balloon - inflates, guest.target);
    guest.cache = std::min(guest.cache, std::max(after - guest.anonymous, 0.0));
    const double out = std::min(std::max(guest.anonymous - after, 0.0), disk);
    guest.anonymous -= out;
    guest.swapped += out;
    guest.balloon = std::max(after, guest.anonymous);
}

/// Takes memory for what runs in the guest, as far as balloon and host have it.
void run(CrowdGuest& guest, double host_free) {
    const double before = guest.anonymous;
    if (guest.wants < guest.anonymous + guest.swapped) {  // it let go of some
        guest.swapped = std::max(guest.swapped - (guest.anonymous + guest.swapped - guest.wants), 0.0);
        guest.anonymous = std::min(guest.anonymous, guest.wants);
    }
    const double fresh = std::min(guest.wants - guest.anonymous - guest.swapped, touch);
    const double from_host = std::max(host_free, 0.0) + std::max(guest.resident - before - guest.cache, 0.0);
    const double room = std::max(std::min(guest.balloon - guest.anonymous, guest.cache + from_host), 0.0);
    const double taken = std::clamp(fresh, 0.0, room);
    const double pushed_out = std::min(std::max(fresh - taken, 0.0), disk);  // the rest of it displaces older pages
    guest.anonymous += taken;
    guest.swapped += pushed_out;
    const double back = std::min({guest.swapped, disk, std::max(room - taken, 0.0)});
    guest.anonymous += back;
    guest.swapped -= back;
    // What is on disk is wanted all the time: it is read, and something else put out for it.
    const double thrashed = back > 0 ? back : std::min(guest.swapped, disk);
    guest.swap_in += thrashed;
    guest.major_faults += thrashed / page;
    guest.cache -= std::clamp(taken + back - from_host, 0.0, guest.cache);
    guest.cache = std::clamp(guest.cache, 0.0, std::max(guest.balloon - guest.anonymous, 0.0));
}

void fill_cache(CrowdGuest& guest, double host_free) {
    const double room = std::min(guest.balloon - guest.anonymous - guest.cache, std::max(host_free, 0.0));
    guest.cache =
        std::min(guest.cache + std::clamp(reads, 0.0, std::max(room, 0.0)), std::max(guest.wants_cache, guest.cache));
}

void count_resident(const CrowdHost& host, CrowdGuest& guest) {
    const double used = guest.anonymous + guest.cache;
    guest.resident = host.reporting ? used : std::min(std::max(guest.resident, used), guest.balloon);
}

void count_free(CrowdHost& host, const std::vector<CrowdGuest>& guests) {
    host.free = host.total - host.own;
    for (const CrowdGuest& guest : guests) host.free -= guest.resident + host.overhead;
}

std::vector<CrowdGuest> guests_of(const CrowdCase& crowd) {
    std::vector<CrowdGuest> guests(static_cast<std::size_t>(crowd.small + crowd.large));
    for (CrowdGuest& guest : guests) {
        guest.minimum = 0.25 * gibibyte;
        guest.maximum = guest.balloon = guest.target = guest_maximum;
        guest.wants = crowd.idle_gib * gibibyte;
        guest.wants_cache = crowd.cache_gib * gibibyte;
    }
    return guests;
}

void wake(const CrowdCase& crowd, std::vector<CrowdGuest>& guests) {
    for (std::size_t i = 0; i < guests.size(); ++i) {
        const bool large = static_cast<int>(i) >= crowd.small;
        guests[i].wants = (large ? crowd.large_gib : crowd.small_gib) * gibibyte;
        guests[i].faults_before = guests[i].major_faults;
    }
}

}  // namespace

CrowdCase with_memory_for_all(CrowdCase crowd) {
    constexpr double room = 1.05;  // guests leave the host's last hundredth alone
    crowd.host_gib = room * (host_own + (crowd.small + crowd.large) * (guest_maximum + qemu)) / gibibyte;
    return crowd;
}

CrowdResult play(const CrowdCase& crowd, CrowdController& controller) {
    CrowdHost host{.total = crowd.host_gib * gibibyte, .own = host_own, .overhead = qemu, .reporting = crowd.reporting};
    std::vector<CrowdGuest> guests = guests_of(crowd);
    CrowdResult result{.free_minimum = 1};
    for (int second = 0; second < crowd.idle_seconds + crowd.crowd_seconds; ++second) {
        const int since = second - crowd.idle_seconds;
        if (since == 0) wake(crowd, guests);
        for (CrowdGuest& guest : guests) {
            count_free(host, guests);
            move_balloon(guest);
            run(guest, host.free);
            fill_cache(guest, host.free - 0.01 * host.total);
            count_resident(host, guest);
        }
        count_free(host, guests);
        if (second % controller.period() == 0) controller.act(host, guests, second);
        if (since < 0) continue;
        result.free_minimum = std::min(result.free_minimum, host.free / host.total);
        result.critical_s += host.free < 0.02 * host.total ? 1 : 0;
        result.swapping_s += host.free < mebibyte ? 1 : 0;
        for (CrowdGuest& guest : guests) {
            const bool back = guest.anonymous >= 0.98 * guest.wants;
            if (back && guest.back_at < 0) guest.back_at = since;
            if (!back) guest.back_at = -1;
        }
    }
    for (const CrowdGuest& guest : guests) {
        const double back = guest.back_at < 0 ? crowd.crowd_seconds : guest.back_at;
        result.mean_back_s += back / static_cast<double>(guests.size());
        result.last_back_s = std::max(result.last_back_s, back);
        result.never_back += guest.back_at < 0 ? 1 : 0;
        result.major_faults += guest.major_faults - guest.faults_before;
    }
    return result;
}

}  // namespace ballast::bench
