#include "memory/correlation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

constexpr Milliseconds day{24 * 3'600'000};  ///< as of one working set
constexpr Milliseconds longest{30 * day};    ///< by then what was believed before is forgotten
constexpr double most = 0.95;
constexpr Milliseconds lag{10 * 60'000};
constexpr double fastest = 1.0 / 60;  ///< draws per second
constexpr double slowest = 1.0 / (6 * 3600);

struct Parts {
    double needed = 0;
    double deviation = 0;  ///< sum s
    double variance = 0;   ///< sum s^2
};

struct Sums {
    Parts all;
    std::map<std::string_view, Parts> groups;
    std::uint64_t members = 0;
};

void add(Parts& parts, const CorrelationPart& one) {
    const double s = std::max(as_double(one.deviation), 0.0);
    parts.needed += as_double(one.needed);
    parts.deviation += s;
    parts.variance += s * s;
}

Sums sums_of(std::span<const CorrelationPart> parts) {
    Sums sums;
    for (const CorrelationPart& one : parts) {
        add(sums.all, one);
        if (!one.group.empty()) add(sums.groups[one.group], one);
        sums.members += one.id * 0x9e3779b97f4a7c15ULL + 1;
    }
    return sums;
}

void update(SumMemo& memo, double value, double weight) {
    const double difference = value - memo.mean;
    memo.mean += weight * difference;
    memo.variance = (1 - weight) * (memo.variance + weight * difference * difference);
}

struct Found {
    double group = 0;
    double host = 0;
    bool groups = false;  ///< there is a pair to find it by
    bool pairs = false;
    std::optional<double> draws;  ///< per second
};

/// Nothing where the sum has not changed, or was not seen for long enough.
std::optional<double> draws_in(const CorrelationMemo& memo) {
    constexpr int enough = 12;
    if (memo.lags < enough || memo.change <= 0) return std::nullopt;
    const double stays = std::clamp(memo.change_twice / memo.change - 1, 1e-6, 1 - 1e-6);
    return std::clamp(-std::log(stays) / seconds_of(lag), slowest, fastest);
}

/// The correlations of the sums as they are.
Found found_in(const CorrelationMemo& memo, const Sums& sums) {
    double group_common = 0;
    double group_pairs = 0;
    double of_groups = sums.all.variance;  // of groups and of VMs that are one of their own
    double own_pairs = sums.all.variance;
    for (const auto& [name, parts] : sums.groups) {
        const auto at = memo.groups.find(std::string(name));
        if (at == memo.groups.end()) continue;
        group_common += at->second.variance - parts.variance;
        group_pairs += parts.deviation * parts.deviation - parts.variance;
        of_groups += at->second.variance - parts.variance;
        own_pairs += parts.deviation * parts.deviation - parts.variance;
    }
    const double pairs = sums.all.deviation * sums.all.deviation - own_pairs;
    const double least = 1e-9 * sums.all.variance;
    return {.group = group_pairs > least ? std::clamp(group_common / group_pairs, 0.0, most) : 0,
            .host = pairs > least ? std::clamp((memo.all.variance - of_groups) / pairs, 0.0, most) : 0,
            .groups = group_pairs > least,
            .pairs = pairs > least,
            .draws = draws_in(memo)};
}

/// What was believed and what was found, each by how long it was watched.
void mix(CorrelationMemo& memo, const Found& found) {
    const double before = seconds_of(memo.believed);
    const double here = seconds_of(memo.watched);
    const auto mixed = [&](double believed, double now) { return (before * believed + here * now) / (before + here); };
    memo.group = found.groups ? mixed(memo.group_before, found.group) : memo.group_before;
    memo.host = found.pairs ? mixed(memo.host_before, found.host) : memo.host_before;
    memo.draws = found.draws ? mixed(memo.draws_before, *found.draws) : memo.draws_before;
}

/// Once in a lag: how far the sum went since the last time, and since the time before. A lag that lasted much longer is
/// not counted.
void note_change(CorrelationMemo& memo, double sum, Timestamp now) {
    const Milliseconds since = between(memo.lagged_at, now);
    if (since < lag) return;
    const bool in_time = since < lag + lag / 2;
    memo.lagged_at = now;
    memo.in_row = in_time ? memo.in_row + 1 : 0;
    if (memo.in_row >= 2) {
        ++memo.lags;
        const double weight = std::max(seconds_of(lag) / seconds_of(longest), 1.0 / memo.lags);
        const auto half_square = [&](double before) { return (sum - before) * (sum - before) / 2; };
        memo.change += weight * (half_square(memo.lagged) - memo.change);
        memo.change_twice += weight * (half_square(memo.lagged_twice) - memo.change_twice);
    }
    memo.lagged_twice = memo.lagged;
    memo.lagged = sum;
}

/// New sums; what was found so far is what is believed.
CorrelationMemo begun(const CorrelationMemo& memo, const Sums& sums, const RiskModel& usual, Timestamp now,
                      Milliseconds first_belief) {
    const bool first = memo.at == Timestamp{};
    CorrelationMemo fresh;
    fresh.group = fresh.group_before = first ? usual.group : memo.group;
    fresh.host = fresh.host_before = first ? usual.host : memo.host;
    fresh.draws = fresh.draws_before = first ? 1 / std::max(seconds_of(usual.persistence), 1.0) : memo.draws;
    fresh.believed = first ? first_belief : std::min(memo.believed + memo.watched, day);
    fresh.at = now;
    fresh.members = sums.members;
    fresh.all.mean = fresh.lagged = sums.all.needed;
    fresh.lagged_at = now;
    for (const auto& [name, parts] : sums.groups) fresh.groups[std::string(name)].mean = parts.needed;
    return fresh;
}

}  // namespace

CorrelationMemo correlated(CorrelationMemo memo, std::span<const CorrelationPart> parts, const RiskModel& usual,
                           Timestamp now, Milliseconds first_belief) {
    const Sums sums = sums_of(parts);
    if (memo.at == Timestamp{} || memo.members != sums.members) return begun(memo, sums, usual, now, first_belief);
    const Milliseconds elapsed = between(memo.at, now);
    if (elapsed <= Milliseconds(0)) return memo;
    memo.at = now;
    memo.watched = std::min(memo.watched + elapsed, longest);
    const double weight = std::min(seconds_of(elapsed) / seconds_of(std::min(memo.watched, day)), 1.0);
    update(memo.all, sums.all.needed, weight);
    for (const auto& [name, group] : sums.groups) update(memo.groups[std::string(name)], group.needed, weight);
    note_change(memo, sums.all.needed, now);
    mix(memo, found_in(memo, sums));
    return memo;
}

RiskModel measured_model(const CorrelationMemo& memo, RiskModel usual) {
    if (memo.at == Timestamp{}) return usual;
    usual.group = std::max(memo.group, memo.host);
    usual.host = memo.host;
    usual.persistence = Milliseconds(std::llround(1000 / memo.draws));
    return usual;
}

}  // namespace ballast::memory
