#pragma once
// What the API works with: given by wire.cpp (Services) and, beside it, what the API keeps for itself (Context).
// Loop thread only, unless a member says otherwise.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "daemon/api/http.h"
#include "daemon/jobs/progress.h"
#include "daemon/reconcile/host_registry.h"
#include "daemon/store/store.h"
#include "migration/policy.h"
#include "scheduler/placement.h"

namespace ballast::jobs {
class MigrationDesk;
class PlanDesk;
}  // namespace ballast::jobs

namespace ballast::overcommit {
struct HostPicture;
using Pictures = std::map<HostId, std::shared_ptr<const HostPicture>>;  // picture.h
}  // namespace ballast::overcommit

namespace ballast::api {

struct Limits {
    Bytes header = kibibytes(16);
    int header_count = 100;
    Bytes body = mebibytes(1);
    Bytes upload = gibibytes(64);
    Bytes upload_disk_reserve = mebibytes(256);  ///< of the upload folder's file system, never used up
    int connections = 1024;
    int connections_per_peer = 256;
    int event_streams = 256;
    Milliseconds header_timeout{10'000};   ///< handshake included; for the whole header
    Milliseconds body_timeout{30'000};     ///< for the whole body; of an upload: for each further piece
    Milliseconds request_timeout{60'000};  ///< for the handler
    Milliseconds idle_timeout{75'000};     ///< between two requests of one connection
    Milliseconds write_timeout{30'000};    ///< for each piece of an answer of 256 KiB
    Milliseconds heartbeat{15'000};        ///< comments on event streams
    std::size_t stream_backlog = 8'192;    ///< events that a slow consumer may be behind
    std::size_t parse_on_loop = 65'536;    ///< larger bodies are parsed and hashed on the pool
    int auth_failures_per_minute = 10;     ///< per peer; more are answered 429
};

struct Services {
    std::shared_ptr<store::Store> store;
    std::shared_ptr<const Clock> clock;
    std::shared_ptr<IdSource> ids;
    std::shared_ptr<reconcile::HostRegistry> hosts;
    std::shared_ptr<reconcile::Observer> observer;
    std::shared_ptr<jobs::ProgressHub> progress;
    /// Forecasts, the lanes' queue and the moves that run; nullptr: no migrations are done here.
    std::shared_ptr<jobs::MigrationDesk> migrations;
    std::shared_ptr<jobs::PlanDesk> plans;       ///< nullptr: no plans are made here
    migration::PolicyDefaults migration_policy;  ///< the same as the jobs'
    Milliseconds evidence_age{3'600'000};        ///< how old the proof of a shared pool may be (SAFETY.md 9)
    /// The latest statistics of a "vm" or "host" as a JSON object; nothing when there are none. May be empty.
    std::function<std::optional<JsonText>(std::string_view kind, const std::string& id)> stats;
    /// What the memory controller last saw of every host. May be empty: nothing looks at their memory here.
    std::function<std::shared_ptr<const overcommit::Pictures>()> memory;
    /// Whether a driver speaks the URI.
    std::function<Result<void>(std::string_view uri)> check_uri;
    /// How hosts that may take a VM are compared; the same as the jobs'.
    std::function<scheduler::Preferences()> preferences = [] { return scheduler::Preferences{}; };
    std::string cluster_name = "ballast";
    std::string version = "0.1.0";
    std::string default_pool = "default";
    std::string upload_folder;
    Limits limits;
};

class RowCache;
class EventHub;
class Metrics;

/// Services, and what the API made for itself. Shared by every handler that runs.
struct Context : Services {
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor cpu;  ///< a pool: parsing, hashing, writing files
    std::shared_ptr<RowCache> rows;
    std::shared_ptr<EventHub> events;
    std::shared_ptr<Metrics> metrics;
};
using ContextPtr = std::shared_ptr<const Context>;

}  // namespace ballast::api
