#include "tests/support/sim_cluster.h"

#include <unistd.h>

#include "core/try.h"

namespace ballast::testing {
namespace {

drivers::simulated::HostModel host_model(const std::string& name) {
    drivers::simulated::HostModel model;
    model.name = name;
    model.pools = {{.name = "shared", .path = "/srv/shared", .type = "dir", .store = "one", .capacity = gibibytes(50)},
                   {.name = "local", .path = "/srv/local", .type = "dir", .store = {}, .capacity = gibibytes(50)}};
    return model;
}

/// What the test gives later counts too.
jobs::Planner relayed(const jobs::Planner& planner) {
    return {.plan = [&planner](const Snapshot& snapshot, const scheduler::ClusterLoad& load,
                               const std::vector<scheduler::RecentMove>& recent, const scheduler::MoveCosts& costs,
                               const scheduler::PlanOptions& options, const scheduler::balance::RunAll& run_all,
                               const scheduler::balance::Stop& stop) -> Result<scheduler::ClusterPlan> {
                if (!planner.plan) return fail(Code::unimplemented, "the test has no planner");
                return planner.plan(snapshot, load, recent, costs, options, run_all, stop);
            },
            .check = [&planner](const Snapshot& snapshot, const scheduler::ClusterPlan& plan,
                                const scheduler::PlanStep& step, const scheduler::Preferences& known) -> Result<void> {
                if (!planner.check) return {};
                return planner.check(snapshot, plan, step, known);
            }};
}

}  // namespace

SimCluster::SimCluster(int hosts) : world(drivers::simulated::World::make(11)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "ballast-sim-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (int i = 1; i <= hosts; ++i) EXPECT_TRUE(world->add_host(host_model("h" + std::to_string(i))));
    start_daemon();
    for (int i = 1; i <= hosts; ++i) manage("h" + std::to_string(i));
}

SimCluster::~SimCluster() {
    stop_daemon();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void SimCluster::start_daemon() {
    auto opened =
        store::open_store({.path = (folder_ / "ballast.db").string(), .retention = {}, .readers = 1}, world, ids_);
    ASSERT_TRUE(opened) << opened.error().chain();
    store = *opened;
    registry = std::make_shared<reconcile::Registry>(
        io->get_executor(), store, drivers::Catalog({drivers::simulated::make_simulated_driver(world)}));
    reconcile::ReconcileOptions looking;
    looking.start_vm = [](store::Transaction& transaction, const VmId& vm) -> Result<void> {
        BALLAST_CHECK(
            jobs::submit(transaction, {.kind = "vm.start", .vm = vm, .host = {}, .subject = {}, .params = {"{}"}}));
        return {};
    };
    reconciler = std::make_shared<reconcile::Reconciler>(io->get_executor(), store, registry, world, ids_, looking);
    reconciler->start();
    registry->start();
    jobs::Settings settings;
    settings.default_pool = "shared";
    settings.upload_folder = folder_.string();
    settings.retry_pause = Milliseconds(2);
    settings.progress_interval = Milliseconds(1);
    settings.preferences_age = Milliseconds(0);
    settings.balance = balance;
    settings.room_timeout = room_timeout;
    progress = std::make_shared<jobs::ProgressHub>();
    jobs::Services services{.executor = io->get_executor(),
                            .store = store,
                            .hosts = registry,
                            .observer = reconciler,
                            .clock = world,
                            .ids = ids_,
                            .progress = progress,
                            .settings = settings,
                            .migrations = {},
                            .plans = {}};
    services.memory = [this] { return preferences.memory; };
    desk = std::make_shared<jobs::MigrationDesk>(services, [this] { return reconciler->stats(); });
    desk->start();
    services.migrations = desk;
    plans = std::make_shared<jobs::PlanDesk>(services, relayed(planner), [this] { return reconciler->stats(); });
    plans->start();
    services.plans = plans;
    services.preferences = [this] { return preferences; };
    services.room_for = [this](VmId vm, HostId host) -> store::Task<std::string> {
        co_return no_room ? no_room(vm, host) : std::string();
    };
    engine = std::make_shared<jobs::Engine>(std::move(services));
    engine->start();
}

/// Coroutines that are suspended die with their loop, as they would with the process.
void SimCluster::stop_daemon() {
    if (engine) engine->stop();
    if (plans) plans->stop();
    if (desk) desk->stop();
    if (reconciler) reconciler->stop();
    if (registry) registry->stop();
    if (store) store->close();
    io = std::make_unique<boost::asio::io_context>();
    engine.reset();
    plans.reset();
    desk.reset();
    reconciler.reset();
    registry.reset();
    store.reset();
}

void SimCluster::restart() {
    stop_daemon();
    start_daemon();
}

bool SimCluster::until(const std::function<bool()>& condition) {
    return run_until(*io, condition, patience, [this] {
        if (!world->step(std::chrono::seconds(1))) world->advance(Milliseconds(20));
    });
}

Result<store::Committed> SimCluster::write(store::Change change) {
    return run(*io, store->write({.actor = "test", .origin = Origin::ballast, .job = {}}, std::move(change)));
}

void SimCluster::manage(const std::string& name) {
    const auto written = write([&](store::Transaction& transaction) -> Result<void> {
        Host host;
        host.id = HostId("id-" + name);
        host.name = name;
        host.uri = "sim://" + name;
        host.managed = true;
        host.settings.peer_uri = "sim://" + name;
        transaction.put(std::move(host), {"host.added", "added by a test"});
        return {};
    });
    ASSERT_TRUE(written) << written.error().chain();
    ASSERT_TRUE(until([&] { return host(name)->state == HostState::up; })) << host(name)->state_reason;
}

void SimCluster::put_image(const std::string& name) {
    const auto written = write([&](store::Transaction& transaction) -> Result<void> {
        Image image;
        image.id = ImageId("image-" + name);
        image.name = name;
        image.pool = "shared";
        image.host = HostId("id-h1");
        image.state = VolumeState::ready;
        image.boot = {.kernel = "/srv/shared/vmlinuz", .initrd = "/srv/shared/initrd", .cmdline = "console=ttyS0"};
        transaction.put(std::move(image), {"image.imported", "by a test"});
        return {};
    });
    ASSERT_TRUE(written) << written.error().chain();
}

Result<Job> SimCluster::queue(const std::string& kind, const std::string& name, const std::string& params) {
    auto queued = std::make_shared<Job>();
    VmId id;
    if (const auto row = name.empty() ? nullptr : vm(name); row) id = row->id;
    const auto written = write([=](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(*queued,
                    jobs::submit(transaction,
                                 {.kind = kind, .vm = id, .host = {}, .subject = name, .params = JsonText{params}}));
        return {};
    });
    if (!written) return std::unexpected(written.error());
    return *queued;
}

Result<Job> SimCluster::wait(const JobId& id) {
    const bool ended = until([&] {
        const auto job = snapshot()->jobs.find_ptr(id);
        return job != nullptr && is_finished(job->state);
    });
    const auto job = snapshot()->jobs.find_ptr(id);
    if (!ended || job == nullptr)
        return fail(Code::deadline_exceeded, "job {} did not end; its last step: {}", id,
                    job != nullptr && !job->steps.empty() ? job->steps.back().name : "none");
    return *job;
}

Result<Job> SimCluster::do_job(const std::string& kind, const std::string& name, const std::string& params) {
    BALLAST_TRY(const Job queued, queue(kind, name, params));
    return wait(queued.id);
}

}  // namespace ballast::testing
