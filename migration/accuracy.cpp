#include "migration/accuracy.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "migration/curve_model.h"

namespace ballast::migration {
namespace {

constexpr Milliseconds least_downtime{10};
constexpr double downtime_factor = 1.5;

double ratio(Milliseconds actual, Milliseconds forecast) {
    return static_cast<double>(actual.count()) / static_cast<double>(std::max<std::int64_t>(forecast.count(), 1));
}

/// |actual - forecast| / actual, from actual / forecast.
double error_of(double ratio) {
    return std::abs(1 - 1 / std::max(ratio, 1e-6));
}

ErrorSummary summary_of(std::vector<double> errors) {
    if (errors.empty()) return {};
    std::ranges::sort(errors);
    const auto at = [&](double part) {
        return errors[static_cast<std::size_t>(std::ceil(part * static_cast<double>(errors.size()))) - 1];
    };
    return {.samples = static_cast<int>(errors.size()), .median = at(0.5), .p90 = at(0.9)};
}

double share(std::ptrdiff_t count, std::size_t all) {
    return all == 0 ? 0 : static_cast<double>(count) / static_cast<double>(all);
}

AccuracyLine line_of(const std::vector<Outcome>& outcomes) {
    AccuracyLine line;
    line.migrations = static_cast<int>(outcomes.size());
    std::vector<double> total;
    std::vector<double> bytes;
    std::vector<double> downtime;
    std::ptrdiff_t near = 0;
    for (const Outcome& one : outcomes) {
        total.push_back(error_of(one.total));
        if (one.bytes) bytes.push_back(error_of(*one.bytes));
        if (!one.downtime) continue;
        downtime.push_back(error_of(*one.downtime));
        if (*one.downtime <= downtime_factor && *one.downtime >= 1 / downtime_factor) ++near;
    }
    line.downtime_within = share(near, downtime.size());
    line.total_inside = share(std::ranges::count_if(outcomes, &Outcome::total_inside), outcomes.size());
    line.total = summary_of(std::move(total));
    line.bytes = summary_of(std::move(bytes));
    line.downtime = summary_of(std::move(downtime));
    return line;
}

}  // namespace

std::optional<Outcome> outcome_of(const Migration& migration) {
    const auto wall = wall_time(migration);
    if (!wall || migration.requested == ModeChoice::offline) return {};
    const auto forecast = parse_as<Forecast>(migration.forecast.text, "forecast");
    if (!forecast || forecast->modes.empty()) return {};
    const ModeForecast& mode = of_mode(*forecast, migration.mode);
    Outcome outcome;
    outcome.migration = migration.id;
    outcome.from = migration.from;
    outcome.to = migration.to;
    outcome.mode = migration.mode;
    outcome.total = ratio(*wall, mode.total.likely);
    outcome.total_inside = *wall >= mode.total.low && *wall <= mode.total.high;
    if (migration.sent && migration.sent->count() > 0 && mode.bytes.likely.count() > 0)
        outcome.bytes = *migration.sent / mode.bytes.likely;
    // Both below: right. One below: told apart from the other by no more than that.
    if (migration.downtime)
        outcome.downtime =
            ratio(std::max(*migration.downtime, least_downtime), std::max(mode.downtime.likely, least_downtime));
    return outcome;
}

Accuracy measure_accuracy(const Snapshot& snapshot) {
    Accuracy accuracy;
    std::vector<Outcome> all;
    std::map<MigrationMode, std::vector<Outcome>> modes;
    std::map<std::pair<HostId, HostId>, std::vector<Outcome>> pairs;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (row.phase != MigrationPhase::succeeded) return;
        const auto outcome = outcome_of(row);
        if (!outcome) {
            ++accuracy.without_forecast;
            return;
        }
        all.push_back(*outcome);
        modes[outcome->mode].push_back(*outcome);
        pairs[{outcome->from, outcome->to}].push_back(*outcome);
    });
    accuracy.all = line_of(all);
    for (const auto& [mode, outcomes] : modes) {
        accuracy.by_mode.push_back(line_of(outcomes));
        accuracy.by_mode.back().mode = mode;
    }
    for (const auto& [pair, outcomes] : pairs) {
        accuracy.by_pair.push_back(line_of(outcomes));
        accuracy.by_pair.back().from = pair.first;
        accuracy.by_pair.back().to = pair.second;
    }
    return accuracy;
}

}  // namespace ballast::migration
