#pragma once
// How good the forecasts were: outcome against forecast over the finished migrations of a snapshot. Pure; one pass.
// A migration counts if it succeeded and its stored forecast can be read; one that was forecast in another mode than it
// ran in counts with the forecast of the mode that it ran in.

#include <optional>
#include <vector>

#include "core/snapshot.h"
#include "migration/forecast.h"

namespace ballast::migration {

/// One migration: actual / forecast (likely).
struct Outcome {
    JobId migration;
    HostId from;
    HostId to;
    MigrationMode mode = MigrationMode::pre_copy;
    double total = 1;
    std::optional<double> bytes;
    std::optional<double> downtime;  ///< both at least 10 ms: below that it is noise
    bool total_inside = false;       ///< the outcome lies within the forecast's range
    friend bool operator==(const Outcome&, const Outcome&) = default;
};
BOOST_DESCRIBE_STRUCT(Outcome, (), (migration, from, to, mode, total, bytes, downtime, total_inside))

/// Of |actual - forecast| / actual.
struct ErrorSummary {
    int samples = 0;
    double median = 0;
    double p90 = 0;
    friend bool operator==(const ErrorSummary&, const ErrorSummary&) = default;
};
BOOST_DESCRIBE_STRUCT(ErrorSummary, (), (samples, median, p90))

struct AccuracyLine {
    std::optional<MigrationMode> mode;  ///< nothing: all
    std::optional<HostId> from;         ///< nothing: all
    std::optional<HostId> to;
    int migrations = 0;
    ErrorSummary total;
    ErrorSummary bytes;
    ErrorSummary downtime;
    double downtime_within = 0;  ///< share whose downtime was within a factor of 1.5
    double total_inside = 0;     ///< share whose total lay in the forecast's range
    friend bool operator==(const AccuracyLine&, const AccuracyLine&) = default;
};
BOOST_DESCRIBE_STRUCT(AccuracyLine, (),
                      (mode, from, to, migrations, total, bytes, downtime, downtime_within, total_inside))

struct Accuracy {
    AccuracyLine all;
    std::vector<AccuracyLine> by_mode;
    std::vector<AccuracyLine> by_pair;
    int without_forecast = 0;  ///< succeeded, but with no forecast that can be read
    friend bool operator==(const Accuracy&, const Accuracy&) = default;
};
BOOST_DESCRIBE_STRUCT(Accuracy, (), (all, by_mode, by_pair, without_forecast))

/// Nothing where the migration did not succeed or has no readable forecast.
[[nodiscard]] std::optional<Outcome> outcome_of(const Migration& migration);
[[nodiscard]] Accuracy measure_accuracy(const Snapshot& snapshot);

}  // namespace ballast::migration
