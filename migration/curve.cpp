#include "migration/curve.h"

#include <algorithm>
#include <cmath>

#include "migration/curve_model.h"

namespace ballast::migration {
namespace {

using model::as_double;
using model::bytes_of;
using model::seconds_of;

constexpr double samples_per_gibibyte = 512;
constexpr double gibibyte = 1024.0 * 1024 * 1024;
constexpr std::size_t most_points = 32;
constexpr int most_alike = 4;  ///< of about the same window
/// libvirt's figures of a running job are read four times a second.
constexpr double reading_jitter_s = 0.125;

struct Stretch {
    const MigrationRound* before;
    const MigrationRound* after;
};

/// A round of a second or more has QEMU's own count of the pages that it found newly dirty at its end. QEMU does not
/// count at the end of each: a figure that has not changed is an older round's.
std::optional<CurvePoint> counted_by_qemu(const Stretch& round, double seconds) {
    const bool counted = round.after->dirty_pages_per_second != round.before->dirty_pages_per_second;
    if (seconds < 1 || round.after->dirty_pages_per_second <= 0 || !counted) return {};
    const double dirtied = static_cast<double>(round.after->dirty_pages_per_second) * model::page * seconds;
    return CurvePoint{.window = model::time_of(seconds),
                      .dirtied = bytes_of(dirtied),
                      .error = bytes_of(model::page + 0.05 * dirtied)};
}

/// Of a short round only what is left at its end is known: some of that is what the round did not send.
CurvePoint left_at_the_end(const Stretch& round, double seconds, bool first) {
    const double left = as_double(round.after->remaining);
    const double sent = as_double(saturating_sub(round.after->sent, round.before->sent));
    const double unsent = first ? 0 : std::clamp(as_double(round.before->remaining) - sent, 0.0, left);
    const double jitter = as_double(round.after->throughput) * reading_jitter_s;
    const double dirtied = left - 0.75 * unsent;
    return {.window = model::time_of(seconds),
            .dirtied = bytes_of(dirtied),
            .error = bytes_of(model::page + 0.05 * dirtied + 0.25 * unsent + 0.5 * jitter)};
}

bool alike(Milliseconds a, Milliseconds b) {
    return a.count() * 2 <= b.count() * 3 && b.count() * 2 <= a.count() * 3;
}

}  // namespace

CurvePoint sample_point(Milliseconds window, BytesPerSecond rate, Bytes resolution, Bytes memory) {
    const double all = std::max(as_double(memory), model::page);
    const double dirtied = std::min(as_double(rate) * seconds_of(window), all);
    const double count = std::max(1.0, samples_per_gibibyte * all / gibibyte);
    // One deviation up: a small count that is small by chance must not look exact.
    const double found = dirtied / all * count;
    const double share = std::min((found + std::sqrt(found) + 0.75) / count, std::max(found / count, 0.5));
    const double binomial = all * std::sqrt(share * (1 - share) / count);
    const double step = as_double(resolution) / std::sqrt(12.0);
    return {.window = window, .dirtied = bytes_of(dirtied), .error = bytes_of(std::hypot(binomial, step))};
}

DirtyCurve unmeasured(Bytes memory, Timestamp now) {
    DirtyCurve curve;
    curve.rate = {.low = BytesPerSecond(0),
                  .likely = BytesPerSecond(mebibytes(8).count()),
                  .high = BytesPerSecond(mebibytes(256).count())};
    curve.working_set = {.low = Bytes(0), .likely = memory / 20, .high = memory / 2};
    curve.measured = now;
    curve.source = "nothing";
    return curve;
}

Bytes dirtied_within(const DirtyCurve& curve, Milliseconds time, Bound bound) {
    return bytes_of(model::dirtied(model::load_of(curve, bound), seconds_of(time)));
}

std::vector<CurvePoint> points_of_rounds(const Migration& migration) {
    std::vector<CurvePoint> points;
    if (migration.mode == MigrationMode::stop_and_copy) return points;  // the guest stood still
    MigrationRound start;
    start.at = migration.setup.value_or(Milliseconds(0));
    const MigrationRound* before = &start;
    for (const MigrationRound& round : migration.rounds) {
        // Throttled from the third on; with XBZRLE it is then too short to be read; in the last one the guest stood
        // still.
        if ((migration.throttle > 0 || migration.knobs.xbzrle) && round.round > 2) break;
        if (&round == &migration.rounds.back() && round.remaining.count() == 0) break;
        const double seconds = seconds_of(round.at - before->at);
        const Stretch stretch{.before = before, .after = &round};
        // Several rounds between two readings: what is left was dirtied in the last of them alone.
        const bool one_round = round.round == before->round + 1;
        if (const auto counted = counted_by_qemu(stretch, seconds); counted && one_round)
            points.push_back(*counted);
        else if (one_round && seconds > 2 * reading_jitter_s)
            points.push_back(left_at_the_end(stretch, seconds, before == &start));
        before = &round;
    }
    return points;
}

namespace {

/// What was known an hour ago is half as exact now.
double aged_by(Milliseconds time) {
    constexpr double twice_as_wide_after_s = 3'600;
    return 1 + std::clamp(seconds_of(time) / twice_as_wide_after_s, 0.0, 9.0);
}

/// `points`, newest first, without those that others of about their window outdo. A newer one counts as more exact than
/// an older one, so that a load that has changed is followed; one that says little drives out none that says much.
std::vector<CurvePoint> worth_keeping(const std::vector<CurvePoint>& points) {
    constexpr double newer_is_better = 1.2;
    std::vector<double> rank;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const auto newer =
            std::ranges::count_if(points.begin(), points.begin() + static_cast<std::ptrdiff_t>(i),
                                  [&](const CurvePoint& a) { return alike(a.window, points[i].window); });
        rank.push_back(as_double(points[i].error) * std::pow(newer_is_better, newer));
        order.push_back(i);
    }
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return rank[i]; });
    std::vector<std::size_t> kept;
    for (const std::size_t i : order) {
        const auto as_long = std::ranges::count_if(
            kept, [&](std::size_t other) { return alike(points[other].window, points[i].window); });
        if (as_long < most_alike && kept.size() < most_points) kept.push_back(i);
    }
    std::ranges::sort(kept);
    std::vector<CurvePoint> best;
    best.reserve(kept.size());
    for (const std::size_t i : kept) best.push_back(points[i]);
    return best;
}

/// `seen`: oldest first, as it was seen.
std::optional<DirtyCurve> updated(const std::optional<DirtyCurve>& curve, std::vector<CurvePoint> seen, Bytes memory,
                                  Timestamp now, std::string_view source) {
    std::ranges::reverse(seen);
    const bool known = curve && !curve->points.empty();
    if (known) {
        const double wider = aged_by(std::chrono::duration_cast<Milliseconds>(now - curve->measured));
        for (CurvePoint point : curve->points) {
            point.error = bytes_of(as_double(point.error) * wider);
            seen.push_back(point);
        }
    }
    auto fitted = fit(worth_keeping(seen), memory, now);
    if (fitted) fitted->source = known && curve->source != source ? "samples and rounds" : std::string(source);
    return fitted;
}

}  // namespace

std::optional<DirtyCurve> updated_by_samples(const std::optional<DirtyCurve>& curve,
                                             const std::vector<CurvePoint>& samples, Bytes memory, Timestamp now) {
    return samples.empty() ? curve : updated(curve, samples, memory, now, "samples");
}

std::optional<DirtyCurve> updated_by_rounds(const std::optional<DirtyCurve>& curve, const Migration& migration) {
    const std::vector<CurvePoint> points = points_of_rounds(migration);
    if (points.empty()) return curve;
    return updated(curve, points, migration.memory, migration.finished.value_or(migration.started), "rounds");
}

}  // namespace ballast::migration
