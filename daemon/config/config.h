#pragma once
// The daemon's configuration: what may be set, its defaults and limits, and how file, environment and flags make one
// Config. Precedence: flag (--set server.port=…) over environment (BALLAST_SERVER_PORT) over file over default. It
// never guesses: an unknown key, a wrong type and a value out of range are errors that name key, place and way out.
// Names, defaults, limits and documentation stand in one table (keys.cpp), from which sample file and manual are made.
// Reads one file, nothing else; any thread.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/error.h"
#include "core/migration.h"
#include "core/units.h"

namespace ballast::config {

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };
BOOST_DESCRIBE_ENUM(LogLevel, trace, debug, info, warning, error)

enum class LogFormat : std::uint8_t { text, json };
BOOST_DESCRIBE_ENUM(LogFormat, text, json)

/// `on_request`: only where post-copy or hybrid is asked for by name.
enum class PostCopy : std::uint8_t { on_request, allowed, forbidden };
BOOST_DESCRIBE_ENUM(PostCopy, on_request, allowed, forbidden)

/// A policy for every VM that carries the label.
struct MigrationLabel {
    std::string key;
    std::string value;
    MigrationPolicy policy;
    friend bool operator==(const MigrationLabel&, const MigrationLabel&) = default;
};

struct ServerConfig {
    std::string listen = "127.0.0.1";
    int port = 8470;
    std::string certificate;
    std::string key;
    std::vector<std::string> names;
    friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(ServerConfig, (), (listen, port, certificate, key, names))

struct StoreConfig {
    std::string path = "/var/lib/ballast/ballast.db";
    std::string uploads;
    int readers = 2;
    std::chrono::hours event_retention{24 * 90};
    std::int64_t max_events = 2'000'000;
    std::chrono::hours job_retention{24 * 30};
    std::chrono::hours answer_retention{24};
    Milliseconds prune_interval{10 * 60 * 1000};
    friend bool operator==(const StoreConfig&, const StoreConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(StoreConfig, (),
                      (path, uploads, readers, event_retention, max_events, job_retention, answer_retention,
                       prune_interval))

struct ClusterConfig {
    std::string name = "ballast";
    std::string default_pool = "default";
    friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(ClusterConfig, (), (name, default_pool))

struct HostsConfig {
    Milliseconds sweep_interval{10'000};
    Milliseconds xml_sweep_interval{5 * 60 * 1000};
    Milliseconds pair_check_interval{60 * 60 * 1000};
    Milliseconds connect_timeout{10'000};
    Milliseconds call_timeout{15'000};
    friend bool operator==(const HostsConfig&, const HostsConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(HostsConfig, (),
                      (sweep_interval, xml_sweep_interval, pair_check_interval, connect_timeout, call_timeout))

struct JobsConfig {
    int concurrency = 256;
    int migrations_out_per_host = 2;
    int migrations_in_per_host = 2;
    Milliseconds stop_timeout{10'000};
    friend bool operator==(const JobsConfig&, const JobsConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(JobsConfig, (), (concurrency, migrations_out_per_host, migrations_in_per_host, stop_timeout))

/// What a move of a VM may cost where neither the request nor the VM nor its label says so, and the lanes. 0: no limit.
struct MigrationConfig {
    Milliseconds max_downtime{300};
    Milliseconds max_total{0};
    PostCopy post_copy = PostCopy::on_request;
    BytesPerSecond bandwidth;
    BytesPerSecond post_copy_bandwidth;
    int max_throttle = 90;
    int priority = 0;
    int per_link = 1;
    int cluster = 64;
    Milliseconds curve_age{600'000};
    std::vector<MigrationLabel> labels;  ///< [[migration.label]]: of several that fit, the first decides field by field
    friend bool operator==(const MigrationConfig&, const MigrationConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationConfig, (),
                      (max_downtime, max_total, post_copy, bandwidth, post_copy_bandwidth, max_throttle, priority,
                       per_link, cluster, curve_age))

/// [[placement.policies]]: how much each scorer counts.
struct PlacementPolicy {
    std::string name;
    std::map<std::string, double> weights;
    friend bool operator==(const PlacementPolicy&, const PlacementPolicy&) = default;
};

/// What placement makes of N+1. must: a host whose VMs could no longer be absorbed elsewhere refuses. should: others
/// are better.
enum class NPlusOneMode : std::uint8_t { off, should, must };
BOOST_DESCRIBE_ENUM(NPlusOneMode, off, should, must)

/// How hosts that may take a VM are compared. Which scorers there are the scheduler knows: daemon/policies.h asks it.
struct PlacementConfig {
    std::string policy = "spread";
    NPlusOneMode n_plus_one = NPlusOneMode::off;
    std::string n_plus_one_group = {};  ///< a host label: hosts of one value absorb each other; empty: all of them
    std::vector<PlacementPolicy> policies;
    friend bool operator==(const PlacementConfig&, const PlacementConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(PlacementConfig, (), (policy, n_plus_one, n_plus_one_group))

enum class BalanceMode : std::uint8_t { manual, advised, automatic };
BOOST_DESCRIBE_ENUM(BalanceMode, manual, advised, automatic)

/// Goals that need no hosts and no VM to be named.
enum class BalanceGoal : std::uint8_t { level, consolidate, repair };
BOOST_DESCRIBE_ENUM(BalanceGoal, level, consolidate, repair)

/// How plans of moves are made and carried out where the request says nothing.
struct BalanceConfig {
    BalanceMode mode = BalanceMode::manual;
    BalanceGoal goal = BalanceGoal::level;
    Milliseconds interval{15 * 60 * 1000};
    Milliseconds budget{5'000};
    int threads = 1;
    Milliseconds stay{3'600'000};
    int margin = 120;
    Milliseconds no_return{6 * 3'600'000};
    int max_moves = 100;
    int moves_per_vm_hour = 1;
    int moves_per_host_hour = 8;
    int warm_spares = 1;
    Milliseconds plan_age{30 * 60 * 1000};
    int replans = 3;
    int outside_moves = 3;
    friend bool operator==(const BalanceConfig&, const BalanceConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(BalanceConfig, (),
                      (mode, goal, interval, budget, threads, stay, margin, no_return, max_moves, moves_per_vm_hour,
                       moves_per_host_hour, warm_spares, plan_age, replans, outside_moves))

/// What becomes of inflated balloons when ballastd stops.
enum class OnStop : std::uint8_t { keep, give_back };
BOOST_DESCRIBE_ENUM(OnStop, keep, give_back)

enum class HostMemoryPolicy : std::uint8_t { none, gentle, balanced, dense };
BOOST_DESCRIBE_ENUM(HostMemoryPolicy, none, gentle, balanced, dense)

/// How the memory of managed hosts is kept where neither a host nor a VM says so (docs/MEMORY.md).
struct MemoryConfig {
    HostMemoryPolicy policy = HostMemoryPolicy::balanced;
    std::vector<std::string> labels = {};  ///< "rack=r2:dense"
    Milliseconds read_interval{2'000};
    Milliseconds sweep_interval{10'000};
    Milliseconds exporter_timeout{2'000};
    Milliseconds first_guess{3'600'000};
    Milliseconds start_wait{120'000};
    OnStop on_stop = OnStop::keep;
    friend bool operator==(const MemoryConfig&, const MemoryConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(MemoryConfig, (),
                      (policy, labels, read_interval, sweep_interval, exporter_timeout, first_guess, start_wait,
                       on_stop))

struct LogConfig {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;
    std::string file;
    friend bool operator==(const LogConfig&, const LogConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(LogConfig, (), (level, format, file))

struct LimitsConfig {
    int connections = 1024;
    int event_streams = 256;
    Bytes header = kibibytes(16);
    Bytes body = mebibytes(1);
    Bytes upload = gibibytes(64);
    Milliseconds header_timeout{10'000};
    Milliseconds body_timeout{30'000};
    Milliseconds idle_timeout{75'000};
    friend bool operator==(const LimitsConfig&, const LimitsConfig&) = default;
};
BOOST_DESCRIBE_STRUCT(LimitsConfig, (),
                      (connections, event_streams, header, body, upload, header_timeout, body_timeout, idle_timeout))

struct Config {
    ServerConfig server;
    StoreConfig store;
    ClusterConfig cluster;
    HostsConfig hosts;
    JobsConfig jobs;
    MigrationConfig migration;
    PlacementConfig placement;
    BalanceConfig balance;
    MemoryConfig memory;
    LogConfig log;
    LimitsConfig limits;
    friend bool operator==(const Config&, const Config&) = default;
};
BOOST_DESCRIBE_STRUCT(Config, (),
                      (server, store, cluster, hosts, jobs, migration, placement, balance, memory, log, limits))

/// Read when no file is named, and only then may it be absent.
inline constexpr const char* default_path = "/etc/ballast/ballastd.toml";

struct Sources {
    std::optional<std::string> file;                 ///< named by --config: must exist. Empty: default_path, if there
    std::map<std::string, std::string> environment;  ///< the whole environment; only BALLAST_<SECTION>_… is looked at
    std::vector<std::string> sets;                   ///< of --set: "server.port=8471"
};

/// Errors: invalid_argument (unknown key, wrong type, out of range, not TOML), not_found (the named file).
[[nodiscard]] Result<Config> load(const Sources& sources);

/// The same from a text that stands for the file `name`.
[[nodiscard]] Result<Config> parse(std::string_view toml, std::string_view name, const Sources& overrides = {});

/// The environment of this process, as Sources wants it.
[[nodiscard]] std::map<std::string, std::string> process_environment();

/// What `ballastd --print-sample-config` prints: every key with its documentation, its default commented out.
[[nodiscard]] std::string sample();

/// What `ballastd --print-config` prints: every key with the value that counts.
[[nodiscard]] std::string render(const Config& config);

/// The manual page ballastd.toml(5), in roff.
[[nodiscard]] std::string manual_page();

/// Where uploads wait to be imported: store.uploads, or the folder "uploads" beside the database.
[[nodiscard]] std::string uploads_folder(const Config& config);

}  // namespace ballast::config
