#pragma once
// A whole daemon less its API on simulated hosts: real store, real reconciler, real jobs. `SimCluster` brings hosts up,
// `do_job` runs one job to its end, `restart` throws the daemon's half away and starts a new one on the same store and
// the same world, as after kill -9.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "core/snapshot.h"
#include "daemon/jobs/engine.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/rebalance/plan_desk.h"
#include "daemon/jobs/submit.h"
#include "daemon/reconcile/reconciler.h"
#include "daemon/reconcile/registry.h"
#include "daemon/store/store.h"
#include "drivers/catalog.h"
#include "drivers/simulated/world.h"
#include "tests/support/run.h"

namespace ballast::testing {

class SimCluster {
  public:
    explicit SimCluster(int hosts = 2);
    ~SimCluster();
    SimCluster(const SimCluster&) = delete;
    SimCluster& operator=(const SimCluster&) = delete;

    /// Adds the host's row as managed and waits until it is up.
    void manage(const std::string& name);
    /// Turns the loop and the virtual clock until the condition holds.
    [[nodiscard]] bool until(const std::function<bool()>& condition);
    /// Queues a job. Errors: those of submit.
    [[nodiscard]] Result<Job> queue(const std::string& kind, const std::string& vm, const std::string& params);
    /// Queues it and waits for its end.
    [[nodiscard]] Result<Job> do_job(const std::string& kind, const std::string& vm, const std::string& params);
    [[nodiscard]] Result<Job> wait(const JobId& id);
    [[nodiscard]] Result<store::Committed> write(store::Change change);
    /// The daemon's half dies without a word and begins anew.
    void restart();
    /// An image that VMs can be made from, without an upload.
    void put_image(const std::string& name);

    /// Where uploaded files lie.
    [[nodiscard]] const std::filesystem::path& uploads() const { return folder_; }
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return store->snapshot(); }
    [[nodiscard]] std::shared_ptr<const Vm> vm(const std::string& name) const {
        return find_vm(*snapshot(), name).value_or(nullptr);
    }
    [[nodiscard]] std::shared_ptr<const Host> host(const std::string& name) const {
        return find_host(*snapshot(), name).value_or(nullptr);
    }

    std::shared_ptr<drivers::simulated::World> world;
    std::unique_ptr<boost::asio::io_context> io = std::make_unique<boost::asio::io_context>();
    std::shared_ptr<store::Store> store;
    std::shared_ptr<reconcile::Registry> registry;
    std::shared_ptr<reconcile::Reconciler> reconciler;
    std::shared_ptr<jobs::ProgressHub> progress;
    std::shared_ptr<jobs::MigrationDesk> desk;
    std::shared_ptr<jobs::PlanDesk> plans;
    std::shared_ptr<jobs::Engine> engine;
    /// Who plans, and who judges a step: the test's own, before it makes a plan.
    jobs::Planner planner;
    jobs::BalanceSettings balance;
    /// How hosts are compared: the test's own, at any time.
    scheduler::Preferences preferences;
    /// Why a VM may not be started yet: the test's own, at any time.
    std::function<std::string(const VmId& vm, const HostId& host)> no_room;
    /// That long a start waits for it: the test's own, before the first restart().
    Milliseconds room_timeout{60'000};

  private:
    void start_daemon();
    void stop_daemon();

    std::filesystem::path folder_;
    std::shared_ptr<IdSource> ids_ = std::make_shared<SeededIds>(7);
};

}  // namespace ballast::testing
