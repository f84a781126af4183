#pragma once
// What jobs work with, given by wire.cpp (or by a test).

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "daemon/jobs/progress.h"
#include "daemon/jobs/rebalance/settings.h"
#include "daemon/reconcile/host_registry.h"
#include "daemon/store/store.h"
#include "migration/policy.h"
#include "scheduler/placement.h"

namespace ballast::jobs {

struct Settings {
    std::string default_pool = "default";
    std::string upload_folder;    ///< where the API leaves uploaded files
    int concurrent_jobs = 32;     ///< in the whole cluster
    int outgoing_migrations = 2;  ///< per host; hard cap 8 (ARCHITECTURE.md 2)
    int incoming_migrations = 2;
    int migrations_per_link =
        1;  ///< in and out of one host: one after the other ends sooner on average than side by side
    int migrations_in_cluster = 64;
    std::chrono::minutes evidence_age{60};  ///< how old the proof of a shared pool may be (SAFETY.md 9)
    Milliseconds retry_pause{500};          ///< before asking a host again whose answer was lost
    Milliseconds preferences_age{30'000};   ///< placement takes a new look at what VMs use when its last is so old
    Milliseconds progress_interval{250};    ///< 4 Hz
    Milliseconds pull_stall{10'000};        ///< a pull phase without progress for this long is paused and resumed
    Seconds curve_age{600};                 ///< a dirty-page curve older than this is measured again where it is wanted
    Seconds start_timeout{120};
    Milliseconds room_timeout{120'000};  ///< that a start waits for the memory that its guest may fill
    migration::PolicyDefaults migration_policy;
    BalanceSettings balance;
};

class MigrationDesk;
class Placer;

/// Makes a VM smaller before it is moved, where sending less takes less time than that; returns when its guest has
/// followed, or has had its time.
using ShrinkBeforeMove = std::function<store::Task<>(VmId vm, BytesPerSecond bandwidth)>;
/// Whether a guest that boots there, or comes, finds the memory that it may fill on the host; empty: it does, else why
/// not yet.
using RoomFor = std::function<store::Task<std::string>(VmId vm, HostId host)>;
class PlanDesk;

struct Services {
    boost::asio::any_io_executor executor;
    std::shared_ptr<store::Store> store;
    std::shared_ptr<reconcile::HostRegistry> hosts;
    std::shared_ptr<reconcile::Observer> observer;
    std::shared_ptr<const Clock> clock;
    std::shared_ptr<IdSource> ids;
    std::shared_ptr<ProgressHub> progress;
    Settings settings;
    std::shared_ptr<MigrationDesk> migrations;  ///< lanes, curves, forecasts and the moves that run
    std::shared_ptr<PlanDesk> plans;            ///< makes plans, keeps the load history
    /// How hosts that may take a VM are compared: the cluster's policies, what VMs use, and `memory`. Loop thread.
    std::function<scheduler::Preferences()> preferences = [] { return scheduler::Preferences{}; };
    ShrinkBeforeMove shrink_before_move = {};  ///< empty: VMs are moved as they are
    RoomFor room_for = {};                     ///< empty: VMs are started at once
    /// What is known of the memory that VMs want (scheduler/memory_admission.h); null: nothing. Loop thread.
    std::function<std::shared_ptr<const scheduler::MemoryAdmission>()> memory = [] { return nullptr; };
    std::shared_ptr<Placer> placer = {};  ///< where VMs go; the engine makes it where none is given
};

}  // namespace ballast::jobs
