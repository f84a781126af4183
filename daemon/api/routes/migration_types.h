#pragma once
// Bodies about migrations: what a move would cost, what waits for its lanes, what an operator changes while one runs.
// Described types only (instantiated in migration_types.cpp).

#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/storage_rows.h"
#include "migration/compatibility.h"
#include "migration/forecast.h"
#include "scheduler/placement.h"

namespace ballast::api {

/// What a move to one host would cost.
struct HostForecast {
    HostId host;
    std::string name;
    migration::Forecast forecast;
};
BOOST_DESCRIBE_STRUCT(HostForecast, (), (host, name, forecast))

struct ForecastList {
    std::vector<HostForecast> items;  ///< by name
};
BOOST_DESCRIBE_STRUCT(ForecastList, (), (items))

/// The answer of a dry run.
struct MigrationPlan {
    scheduler::Decision decision;
    std::optional<HostId> to;          ///< the host that was named, or the scheduler's choice
    std::vector<PairCheck> preflight;  ///< of the move there
    std::optional<migration::Forecast> forecast;
    std::string no_forecast;  ///< why there is none
};
BOOST_DESCRIBE_STRUCT(MigrationPlan, (), (decision, to, preflight, forecast, no_forecast))

struct QueuedMigration {
    JobId job;
    VmId vm;
    int position = 0;   ///< 1: the next
    Timestamp start;    ///< expected
    Timestamp end;      ///< expected
    bool late = false;  ///< would end after its deadline
    std::string waits;  ///< for what
};
BOOST_DESCRIBE_STRUCT(QueuedMigration, (), (job, vm, position, start, end, late, waits))

struct MigrationQueue {
    std::vector<QueuedMigration> items;  ///< by expected start
    int running = 0;
    std::optional<Timestamp> done;  ///< when the last of all, running ones too, is expected to have ended
};
BOOST_DESCRIBE_STRUCT(MigrationQueue, (), (items, running, done))

struct CompatibilityTable {
    std::vector<migration::CompatibilityRow> items;
};
BOOST_DESCRIBE_STRUCT(CompatibilityTable, (), (items))

/// What is left out stays as it is.
struct TuneAsk {
    std::optional<Milliseconds> max_downtime;
    std::optional<BytesPerSecond> bandwidth;
    std::optional<BytesPerSecond> post_copy_bandwidth;
};
BOOST_DESCRIBE_STRUCT(TuneAsk, (), (max_downtime, bandwidth, post_copy_bandwidth))

}  // namespace ballast::api
