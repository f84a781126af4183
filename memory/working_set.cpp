#include "memory/working_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

/// A guest's pages and QEMU's do not align: that much more than it has is no lie.
constexpr Bytes slack = mebibytes(1);

WorkingSet at_full_size(const VmMemory& vm, Trust trust, std::string why) {
    return {.trust = trust,
            .size = vm.maximum,
            .needed = vm.maximum,
            .mean = vm.maximum,
            .deviation = {},
            .page_cache = {},
            .unused = {},
            .idle = 0,
            .lacks = false,
            .guessed = true,
            .why = std::move(why)};
}

/// What cannot be true of one reading; empty: nothing.
std::string contradiction(const VmMemory& vm) {
    const GuestReading& reading = vm.reading;
    const Bytes most = reading.balloon + slack;
    const auto above = [&](const std::optional<Bytes>& part, Bytes whole) { return part && *part > whole + slack; };
    const auto negative = [](const std::optional<Bytes>& part) { return part && *part < Bytes(0); };
    if (negative(reading.unused) || negative(reading.usable) || negative(reading.disk_caches))
        return "says that it has less than nothing";
    if (above(reading.unused, most))
        return fmt::format("says that {} are unused of the {} it has", *reading.unused, reading.balloon);
    if (above(reading.usable, most))
        return fmt::format("says that {} are usable of the {} it has", *reading.usable, reading.balloon);
    if (above(reading.disk_caches, most))
        return fmt::format("says that {} are page cache of the {} it has", *reading.disk_caches, reading.balloon);
    if (reading.available && above(reading.unused, *reading.available))
        return fmt::format("says that {} are unused of {} in all", *reading.unused, *reading.available);
    if (above(reading.available, vm.maximum))
        return fmt::format("says that it has {}, more than its maximum of {}", *reading.available, vm.maximum);
    return {};
}

/// What its figures are worth, and why not more.
std::pair<Trust, std::string> judge(const VmMemory& vm, Timestamp now, const WorkingSetOptions& options) {
    if (!vm.balloon) return {Trust::no_driver, "has no balloon"};
    const GuestReading& reading = vm.reading;
    if (reading.at == Timestamp{} || (!reading.unused && !reading.usable))
        return {Trust::no_statistics, "its balloon driver gives no statistics"};
    const Milliseconds age = between(reading.at, now);
    if (age > options.oldest) return {Trust::old, fmt::format("its statistics are {} old", to_string(age))};
    if (auto lie = contradiction(vm); !lie.empty()) return {Trust::implausible, std::move(lie)};
    return {Trust::trusted, {}};
}

Bytes cache_of(const GuestReading& reading) {
    if (reading.usable) return saturating_sub(*reading.usable, reading.unused.value_or(Bytes(0)));
    return std::min(reading.disk_caches.value_or(Bytes(0)), saturating_sub(reading.balloon, *reading.unused));
}

/// Of the page cache what the guest's kernel wants to keep, and so does not call usable. disk_caches has shared memory
/// in it too, so no more is believed than a low watermark can be: 1.25 times 5 % of memory, where that is little.
Bytes kept_back(const GuestReading& reading, Bytes cache) {
    constexpr Bytes highest_watermark = mebibytes(128);
    if (!reading.usable || !reading.disk_caches) return {};
    const Bytes low = std::min(reading.available.value_or(reading.balloon) / 16, highest_watermark);
    return std::min({saturating_sub(*reading.disk_caches, cache), *reading.disk_caches / 2, low});
}

bool boots(const WorkingSetMemo& memo, Timestamp at, const WorkingSetOptions& options) {
    return memo.watched == Milliseconds(0) && between(memo.first, at) < std::min(options.boot, options.prior);
}

/// The means with one more value in them.
WorkingSetMemo updated(WorkingSetMemo memo, const VmMemory& vm, double needed, const WorkingSetOptions& options) {
    const GuestReading& reading = vm.reading;
    const Milliseconds elapsed = between(memo.at, reading.at);
    if (memo.at == Timestamp{}) {
        memo.first = reading.at;
        memo.fast = memo.slow = needed;
    } else {
        memo.fast += weight_after(elapsed, options.fast) * (needed - memo.fast);
        memo.slow += weight_after(elapsed, options.slow) * (needed - memo.slow);
    }
    if (boots(memo, reading.at, options)) {
        const double spread = (as_double(vm.maximum) - needed) / 4;
        memo.mean = needed;
        memo.variance = spread * spread;
    } else {
        memo.watched = std::min(memo.watched + elapsed, options.day);
        const double weight = std::min(seconds_of(elapsed) / seconds_of(options.prior + memo.watched), 1.0);
        const double difference = needed - memo.mean;
        memo.mean += weight * difference;
        memo.variance = (1 - weight) * (memo.variance + weight * difference * difference);
    }
    memo.at = reading.at;
    memo.swap_in = reading.swap_in.value_or(Bytes(0));
    memo.major_faults = reading.major_faults.value_or(0);
    return memo;
}

double needed_now(const VmMemory& vm, Bytes cache, bool lacks, const WorkingSetOptions& options) {
    const GuestReading& reading = vm.reading;
    const Bytes free = reading.unused.value_or(Bytes(0));
    const Bytes usable = std::min(reading.usable.value_or(free + cache), reading.balloon);
    const Bytes kept = kept_back(reading, cache);
    const Bytes hot = saturating_sub(bytes_of(options.hot_cache * as_double(cache + kept)), kept);
    double needed = as_double(reading.balloon - usable + hot);
    if (lacks) needed = std::max(needed, as_double(reading.balloon) * (1 + options.growth));
    return std::clamp(needed, 0.0, as_double(vm.maximum));
}

}  // namespace

Estimate estimate(const VmMemory& vm, const WorkingSetMemo& before, Timestamp now, const WorkingSetOptions& options) {
    auto [trust, why] = judge(vm, now, options);
    if (trust != Trust::trusted) return {at_full_size(vm, trust, std::move(why)), before};
    const GuestReading& reading = vm.reading;
    const bool lacks = lacks_memory(reading, before, options);
    const Bytes cache = cache_of(reading);
    const double needed = needed_now(vm, cache, lacks, options);
    const bool news = reading.at > before.at;
    WorkingSetMemo memo = news ? updated(before, vm, needed, options) : before;
    const double size = std::min(std::max({needed, memo.fast, memo.slow}), as_double(vm.maximum));
    const double balloon = std::max(as_double(reading.balloon), 1.0);
    return {{.trust = Trust::trusted,
             .size = bytes_of(size),
             .needed = bytes_of(needed),
             .mean = bytes_of(memo.mean),
             .deviation = bytes_of(std::sqrt(std::max(memo.variance, 0.0))),
             .page_cache = cache,
             .unused = std::min(reading.unused.value_or(Bytes(0)), reading.balloon),
             .idle = std::clamp(1 - size / balloon, 0.0, 1.0),
             .lacks = lacks,
             .guessed = memo.watched == Milliseconds(0),
             .why = {}},
            memo};
}

bool lacks_memory(const GuestReading& reading, const WorkingSetMemo& before, const WorkingSetOptions& options) {
    // Counters that go back are those of a guest that was started again.
    const double seconds = seconds_of(between(before.at, reading.at));
    if (before.at == Timestamp{} || seconds <= 0) return false;
    const Bytes swapped = saturating_sub(reading.swap_in.value_or(Bytes(0)), before.swap_in);
    const std::uint64_t faults = reading.major_faults.value_or(0);
    const auto faulted = faults > before.major_faults ? static_cast<double>(faults - before.major_faults) : 0.0;
    return as_double(swapped) > as_double(options.swapped_in) * seconds ||
           faulted > options.faults_per_second * seconds;
}

}  // namespace ballast::memory
