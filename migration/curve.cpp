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
constexpr std::size_t most_points = 24;
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
    if (points.size() > most_points) points.resize(most_points);
    return points;
}

std::optional<DirtyCurve> updated_by_rounds(const std::optional<DirtyCurve>& curve, const Migration& migration) {
    std::vector<CurvePoint> points = points_of_rounds(migration);
    if (points.empty()) return curve;
    const bool from_samples = curve && !curve->points.empty();
    if (from_samples) {
        const std::vector<CurvePoint> rounds = points;
        for (CurvePoint point : curve->points) {
            const auto same = [&](const CurvePoint& round) { return alike(round.window, point.window); };
            if (std::ranges::any_of(rounds, same)) continue;
            point.error = point.error + point.error / 2;
            if (points.size() < most_points) points.push_back(point);
        }
    }
    auto fitted = fit(std::move(points), migration.memory, migration.finished.value_or(migration.started));
    if (fitted) fitted->source = from_samples ? "samples and rounds" : "rounds";
    return fitted;
}

}  // namespace ballast::migration
