#include "daemon/api/migration_metrics.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "migration/accuracy.h"

namespace ballast::api {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;

const std::vector<double>& duration_buckets() {
    static const std::vector<double> list{0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 1800};
    return list;
}
const std::vector<double>& downtime_buckets() {
    static const std::vector<double> list{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
    return list;
}
const std::vector<double>& bytes_buckets() {
    static const std::vector<double> list{16 * mebibyte,   64 * mebibyte,    256 * mebibyte,  1024 * mebibyte,
                                          4096 * mebibyte, 16384 * mebibyte, 65536 * mebibyte};
    return list;
}
const std::vector<double>& rounds_buckets() {
    static const std::vector<double> list{1, 2, 3, 5, 10, 20, 50};
    return list;
}
const std::vector<double>& error_buckets() {
    static const std::vector<double> list{0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 1, 2};
    return list;
}

template <class E>
std::string word(E value) {
    return to_json(value).template get<std::string>();
}

double seconds(Milliseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

/// |actual - forecast| / actual, from actual / forecast.
double error_of(double ratio) {
    return ratio > 0 ? std::abs(1 - 1 / ratio) : 1;
}

}  // namespace

void MigrationMetrics::observe(Histogram& histogram, const std::string& labels, const std::vector<double>& buckets,
                               double value) {
    Series& series = histogram[labels];
    series.within.resize(buckets.size());
    for (std::size_t i = 0; i < buckets.size(); ++i)
        if (value <= buckets[i]) ++series.within[i];
    ++series.count;
    series.sum += value;
}

void MigrationMetrics::count(const Migration& migration) {
    const std::string labels = fmt::format("mode=\"{}\",result=\"{}\"", word(migration.mode), word(migration.phase));
    const auto duration = migration.total.value_or(*migration.finished - migration.started);
    observe(duration_, labels, duration_buckets(), seconds(duration));
    if (migration.downtime) observe(downtime_, labels, downtime_buckets(), seconds(*migration.downtime));
    if (migration.sent) observe(bytes_, labels, bytes_buckets(), static_cast<double>(migration.sent->count()));
    observe(rounds_, labels, rounds_buckets(), static_cast<double>(migration.rounds.size()));
    const auto outcome = migration::outcome_of(migration);
    if (!outcome) return;
    const auto error = [&](std::string_view of, double ratio) {
        observe(error_, fmt::format("of=\"{}\",{}", of, labels), error_buckets(), error_of(ratio));
    };
    error("total", outcome->total);
    if (outcome->bytes) error("bytes", *outcome->bytes);
    if (outcome->downtime) error("downtime", *outcome->downtime);
}

void MigrationMetrics::count(const Snapshot& snapshot) {
    snapshot.migrations.for_each([this](const Migration& migration) {
        const bool measured = migration.phase != MigrationPhase::succeeded || migration.total;
        if (migration.finished && measured && counted_.insert(migration.id).second) count(migration);
    });
    std::erase_if(counted_, [&](const JobId& id) { return snapshot.migrations.find(id) == nullptr; });
}

std::string MigrationMetrics::render() const {
    std::string text;
    const auto family = [&text](std::string_view name, std::string_view help, const Histogram& histogram,
                                const std::vector<double>& buckets) {
        auto out = std::back_inserter(text);
        fmt::format_to(out, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
        for (const auto& [labels, series] : histogram) {
            for (std::size_t i = 0; i < buckets.size(); ++i)
                fmt::format_to(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, buckets[i], series.within[i]);
            fmt::format_to(out, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, series.count);
            fmt::format_to(out, "{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, series.sum, name, labels,
                           series.count);
        }
    };
    family("ballast_migration_duration_seconds", "Migrations from the call to their end.", duration_,
           duration_buckets());
    family("ballast_migration_downtime_seconds", "Pause of the guest as the target measured it.", downtime_,
           downtime_buckets());
    family("ballast_migration_bytes", "Bytes that a migration sent.", bytes_, bytes_buckets());
    family("ballast_migration_rounds", "Rounds of pre-copy.", rounds_, rounds_buckets());
    family("ballast_migration_forecast_error_ratio", "Forecast against outcome: |actual - forecast| / actual.", error_,
           error_buckets());
    return text;
}

}  // namespace ballast::api
