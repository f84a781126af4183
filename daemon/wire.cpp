#include "daemon/wire.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/api/auth.h"
#include "daemon/api/server.h"
#include "daemon/jobs/engine.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/rebalance/balancer.h"
#include "daemon/jobs/rebalance/plan_desk.h"
#include "daemon/jobs/reservation_keeper.h"
#include "daemon/jobs/submit.h"
#include "daemon/overcommit/admission.h"
#include "daemon/overcommit/memory_desk.h"
#include "daemon/policies.h"
#include "daemon/reconcile/reconciler.h"
#include "daemon/stats_json.h"
#include "daemon/store/store.h"
#include "drivers/libvirt/libvirt_driver.h"

namespace ballast::daemon {
namespace {

namespace asio = boost::asio;

store::StoreOptions store_options(const config::Config& config) {
    return {.path = config.store.path,
            .retention = {.events = config.store.event_retention,
                          .max_events = config.store.max_events,
                          .jobs = config.store.job_retention,
                          .answers = config.store.answer_retention},
            .readers = config.store.readers};
}

/// Folders of its own, closed to others: the store holds token hashes, the uploads are other people's disks.
Result<void> make_folder(const std::string& path, std::string_view key) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (!error) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
    if (error)
        return fail(Code::failed_precondition, "{}: the folder '{}' can't be made: {}", key, path, error.message());
    return {};
}

Result<void> write_private_file(const std::string& path, const std::string& content) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    const mode_t before = ::umask(0077);
    std::ofstream file(path);
    ::umask(before);
    file << content << "\n";
    file.close();
    if (!file) return fail(Code::failed_precondition, "'{}' can't be written", path);
    return {};
}

std::string state_folder(const config::Config& config) {
    return std::filesystem::path(config.store.path).parent_path().string();
}

api::TlsFiles tls_files(const config::Config& config) {
    const bool own = config.server.certificate.empty();
    const std::string folder = state_folder(config);
    return {.certificate = own ? folder + "/tls/server.crt" : config.server.certificate,
            .key = own ? folder + "/tls/server.key" : config.server.key,
            .own = own,
            .names = config.server.names};
}

api::Limits api_limits(const config::LimitsConfig& config) {
    api::Limits limits;
    limits.connections = config.connections;
    limits.event_streams = config.event_streams;
    limits.header = config.header;
    limits.body = config.body;
    limits.upload = config.upload;
    limits.header_timeout = config.header_timeout;
    limits.body_timeout = config.body_timeout;
    limits.idle_timeout = config.idle_timeout;
    return limits;
}

/// In the file 0 is "no limit"; in a policy that is nothing said.
template <class T>
std::optional<T> limit(T value) {
    return value == T{} ? std::nullopt : std::optional<T>(value);
}

std::optional<bool> leave_for(config::PostCopy post_copy) {
    if (post_copy == config::PostCopy::on_request) return std::nullopt;
    return post_copy == config::PostCopy::allowed;
}

migration::PolicyDefaults policy_defaults(const config::MigrationConfig& config) {
    migration::PolicyDefaults defaults;
    defaults.defaults = {.max_downtime = config.max_downtime,
                         .max_total = limit(config.max_total),
                         .post_copy = leave_for(config.post_copy),
                         .bandwidth = limit(config.bandwidth),
                         .post_copy_bandwidth = limit(config.post_copy_bandwidth),
                         .max_throttle = config.max_throttle,
                         .priority = config.priority};
    for (const auto& label : config.labels)
        defaults.labels.push_back({.key = label.key, .value = label.value, .policy = label.policy});
    return defaults;
}

jobs::BalanceSettings balance_settings(const config::BalanceConfig& config) {
    jobs::BalanceSettings settings;
    boost::describe::enum_from_string(boost::describe::enum_to_string(config.goal, ""), settings.goal);
    settings.mode = static_cast<jobs::BalanceMode>(config.mode);
    settings.interval = config.interval;
    settings.budget = config.budget;
    settings.threads = config.threads;
    settings.stay = std::chrono::duration_cast<Seconds>(config.stay);
    settings.margin = config.margin / 100.0;
    settings.no_return = std::chrono::duration_cast<Seconds>(config.no_return);
    settings.max_moves = config.max_moves;
    settings.moves_per_vm_hour = config.moves_per_vm_hour;
    settings.moves_per_host_hour = config.moves_per_host_hour;
    settings.warm_spares = config.warm_spares;
    settings.plan_age = config.plan_age;
    settings.replans = config.replans;
    settings.outside_moves = config.outside_moves;
    return settings;
}

Result<overcommit::MemorySettings> memory_settings(const config::MemoryConfig& config) {
    overcommit::MemorySettings settings;
    settings.policy = static_cast<MemoryPolicy>(config.policy);
    for (const std::string& text : config.labels) {
        auto label = overcommit::parse_label_policy(text);
        if (!label) return std::unexpected(while_doing(label.error(), "memory.labels can't be used"));
        settings.labels.push_back(*std::move(label));
    }
    settings.read_interval = config.read_interval;
    settings.sweep_interval = config.sweep_interval;
    settings.exporter_timeout = config.exporter_timeout;
    settings.first_guess = config.first_guess;
    settings.give_back_on_stop = config.on_stop == config::OnStop::give_back;
    return settings;
}

class Wired final : public Daemon, public std::enable_shared_from_this<Wired> {
  public:
    Wired(asio::io_context& loop, config::Config config)
        : loop_(loop), config_(std::move(config)), prune_timer_(loop) {}

    Result<void> start(const std::optional<SimulateOptions>& simulate);
    [[nodiscard]] std::string url() const override;
    [[nodiscard]] std::string fingerprint() const override { return server_->tls().key_fingerprint; }
    asio::awaitable<void> stop() override;

  private:
    Result<void> open_store();
    Result<void> choose_driver(const std::optional<SimulateOptions>& simulate);
    void connect_hosts();
    Result<void> run_jobs();
    Result<void> serve();
    Result<void> make_first_token();
    asio::awaitable<void> prune_for_ever();
    [[nodiscard]] jobs::Settings job_settings() const;
    [[nodiscard]] api::Services api_services() const;
    [[nodiscard]] std::function<scheduler::Preferences()> preferences() const;
    [[nodiscard]] std::function<std::optional<overcommit::Seen>(const HostId&)> simulated_exporters() const;

    asio::io_context& loop_;
    config::Config config_;
    asio::steady_timer prune_timer_;
    std::shared_ptr<const Clock> clock_ = std::make_shared<SystemClock>();
    std::shared_ptr<IdSource> ids_ = make_random_ids();
    std::shared_ptr<jobs::ProgressHub> progress_ = std::make_shared<jobs::ProgressHub>();
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<reconcile::Registry> hosts_;
    std::shared_ptr<reconcile::Reconciler> reconciler_;
    std::shared_ptr<jobs::MigrationDesk> migrations_;
    std::shared_ptr<jobs::PlanDesk> plans_;
    std::shared_ptr<jobs::Balancer> balancer_;
    std::shared_ptr<jobs::ReservationKeeper> reservations_;
    std::shared_ptr<overcommit::PictureBoard> pictures_ = std::make_shared<overcommit::PictureBoard>();
    std::shared_ptr<overcommit::AdmissionSource> admissions_ = std::make_shared<overcommit::AdmissionSource>(pictures_);
    std::shared_ptr<overcommit::MemoryDesk> memory_;
    scheduler::Policies policies_;
    std::shared_ptr<jobs::Engine> engine_;
    std::shared_ptr<api::Server> server_;
    std::shared_ptr<Simulation> simulation_;
    std::shared_ptr<drivers::Driver> driver_;
};

Result<void> Wired::open_store() {
    BALLAST_CHECK(make_folder(state_folder(config_), "store.path"));
    BALLAST_CHECK(make_folder(config::uploads_folder(config_), "store.uploads"));
    BALLAST_TRY(store_, store::open_store(store_options(config_), clock_, ids_));
    if (const auto health = store_->health(); !health.writable)
        spdlog::error("the store is read-only: {}", health.reason);
    return {};
}

/// Real hosts or simulated ones, never both.
Result<void> Wired::choose_driver(const std::optional<SimulateOptions>& simulate) {
    if (!simulate) {
        driver_ = drivers::libvirt::make_libvirt_driver();
        return {};
    }
    BALLAST_TRY(simulation_, Simulation::open(*simulate, clock_->now()));
    driver_ = simulation_->driver();
    return {};
}

void Wired::connect_hosts() {
    const reconcile::RegistryOptions options{.connect_timeout = config_.hosts.connect_timeout,
                                             .call_timeout = config_.hosts.call_timeout};
    hosts_ = std::make_shared<reconcile::Registry>(loop_.get_executor(), store_, drivers::Catalog({driver_}), options);
    reconcile::ReconcileOptions looking;
    looking.sweep_interval = config_.hosts.sweep_interval;
    looking.list_interval = config_.hosts.xml_sweep_interval;
    looking.pair_interval = config_.hosts.pair_check_interval;
    looking.start_vm = [](store::Transaction& transaction, const VmId& vm) -> Result<void> {
        BALLAST_CHECK(
            jobs::submit(transaction, {.kind = "vm.start", .vm = vm, .host = {}, .subject = {}, .params = {"{}"}}));
        return {};
    };
    reconciler_ = std::make_shared<reconcile::Reconciler>(loop_.get_executor(), store_, hosts_, clock_, ids_, looking);
    reconciler_->start();
    hosts_->start();
}

jobs::Settings Wired::job_settings() const {
    jobs::Settings settings;
    settings.default_pool = config_.cluster.default_pool;
    settings.upload_folder = config::uploads_folder(config_);
    settings.concurrent_jobs = config_.jobs.concurrency;
    settings.outgoing_migrations = config_.jobs.migrations_out_per_host;
    settings.incoming_migrations = config_.jobs.migrations_in_per_host;
    settings.migrations_per_link = config_.migration.per_link;
    settings.migrations_in_cluster = config_.migration.cluster;
    settings.curve_age = std::chrono::duration_cast<Seconds>(config_.migration.curve_age);
    settings.migration_policy = policy_defaults(config_.migration);
    settings.balance = balance_settings(config_.balance);
    settings.room_timeout = config_.memory.start_wait;
    return settings;
}

/// The cluster's policies, and what VMs use by the load history.
std::function<scheduler::Preferences()> Wired::preferences() const {
    return [policies = policies_, plans = plans_, n_plus_one = n_plus_one_of(config_.placement),
            admissions = admissions_] {
        return scheduler::Preferences{
            .policies = policies, .load = plans->known_load(), .n_plus_one = n_plus_one, .memory = admissions->now()};
    };
}

/// What exporters of simulated hosts would say.
std::function<std::optional<overcommit::Seen>(const HostId&)> Wired::simulated_exporters() const {
    if (!simulation_) return {};
    return [world = simulation_->world(), store = store_](const HostId& id) -> std::optional<overcommit::Seen> {
        const auto row = store->snapshot()->hosts.find_ptr(id);
        const auto pressure = row ? world->pressure_of(row->name) : std::nullopt;
        if (!pressure) return std::nullopt;
        overcommit::Seen seen;
        seen.strain = {.pressure = pressure->some, .swap_in = pressure->swap_in};
        seen.reading =
            overcommit::ExporterReading{.filesystems = {{.mount_point = "/", .available = pressure->disk_free}}};
        return seen;
    };
}

Result<void> Wired::run_jobs() {
    jobs::Services services{.executor = loop_.get_executor(),
                            .store = store_,
                            .hosts = hosts_,
                            .observer = reconciler_,
                            .clock = clock_,
                            .ids = ids_,
                            .progress = progress_,
                            .settings = job_settings(),
                            .migrations = {},
                            .plans = {}};
    services.memory = [admissions = admissions_] { return admissions->now(); };
    migrations_ =
        std::make_shared<jobs::MigrationDesk>(services, [reconciler = reconciler_] { return reconciler->stats(); });
    migrations_->start();
    services.migrations = migrations_;
    plans_ = std::make_shared<jobs::PlanDesk>(
        services, jobs::Planner{.plan = scheduler::plan_cluster, .check = scheduler::check_step},
        [reconciler = reconciler_] { return reconciler->stats(); });
    plans_->start();
    services.plans = plans_;
    services.preferences = preferences();
    balancer_ = std::make_shared<jobs::Balancer>(services);
    balancer_->start();
    reservations_ = std::make_shared<jobs::ReservationKeeper>(services);
    reservations_->start();
    BALLAST_TRY(auto memory, memory_settings(config_.memory));
    memory.give_back.time = config_.jobs.stop_timeout * 2 / 5;  // the rest of a stop needs its time, too
    memory_ = std::make_shared<overcommit::MemoryDesk>(services, pictures_, std::move(memory), simulated_exporters());
    memory_->start();
    services.shrink_before_move = [memory = memory_](VmId vm, BytesPerSecond bandwidth) {
        return memory->shrink_before_move(std::move(vm), bandwidth);
    };
    services.room_for = [memory = memory_](VmId vm, HostId host) {
        return memory->room_for(std::move(vm), std::move(host));
    };
    engine_ = std::make_shared<jobs::Engine>(std::move(services));
    engine_->start();
    return {};
}

api::Services Wired::api_services() const {
    api::Services services;
    services.store = store_;
    services.clock = clock_;
    services.ids = ids_;
    services.hosts = hosts_;
    services.observer = reconciler_;
    services.progress = progress_;
    services.migrations = migrations_;
    services.plans = plans_;
    services.preferences = preferences();
    services.migration_policy = policy_defaults(config_.migration);
    services.memory = [board = pictures_] { return board->all(); };
    services.stats = [reconciler = reconciler_](std::string_view kind, const std::string& id) {
        return stats_as_json(*reconciler->stats(), kind, id);
    };
    services.check_uri = [driver = driver_](std::string_view uri) { return driver->check_uri(uri); };
    services.cluster_name = config_.cluster.name;
    services.version = BALLAST_VERSION;
    services.default_pool = config_.cluster.default_pool;
    services.upload_folder = config::uploads_folder(config_);
    services.limits = api_limits(config_.limits);
    return services;
}

Result<void> Wired::serve() {
    const api::Endpoint endpoint{
        .kind = api::Endpoint::Kind::tls, .address = config_.server.listen, .port = config_.server.port};
    BALLAST_TRY(server_, api::start_server(loop_.get_executor(), api_services(),
                                           {.listen = {endpoint}, .tls = tls_files(config_)}));
    return {};
}

/// Nobody could come in without one.
Result<void> Wired::make_first_token() {
    const auto snapshot = store_->snapshot();
    if (!snapshot->tokens.empty() || !store_->health().writable) return {};
    asio::co_spawn(
        loop_,
        [self = shared_from_this()]() -> asio::awaitable<void> {
            auto secret = std::make_shared<std::string>();
            const auto written =
                co_await self->store_->write({}, [secret](store::Transaction& transaction) -> Result<void> {
                    BALLAST_TRY(const auto made, api::make_token(transaction, "first", Right::admin));
                    *secret = made.secret;
                    return {};
                });
            const std::string path = first_token_path(self->config_);
            const Result<void> kept = written ? write_private_file(path, *secret) : std::unexpected(written.error());
            if (kept)
                spdlog::info("made the first admin token; it is in {}", path);
            else
                spdlog::error("could not make the first admin token: {}", kept.error().chain());
        },
        asio::detached);
    return {};
}

asio::awaitable<void> Wired::prune_for_ever() {
    const auto self = shared_from_this();
    boost::system::error_code stopped;
    while (!stopped) {
        prune_timer_.expires_after(config_.store.prune_interval);
        co_await prune_timer_.async_wait(asio::redirect_error(asio::use_awaitable, stopped));
        if (stopped) co_return;
        const Result<void> pruned = co_await store_->prune();
        if (!pruned) spdlog::warn("old events and jobs could not be dropped: {}", pruned.error().chain());
    }
}

Result<void> Wired::start(const std::optional<SimulateOptions>& simulate) {
    BALLAST_TRY(policies_, policies_of(config_.placement));
    BALLAST_CHECK(choose_driver(simulate));
    BALLAST_CHECK(open_store());
    if (simulation_) BALLAST_CHECK(simulation_->check_store(*store_->snapshot()));
    connect_hosts();
    BALLAST_CHECK(run_jobs());
    BALLAST_CHECK(serve());
    BALLAST_CHECK(make_first_token());
    asio::co_spawn(loop_, prune_for_ever(), asio::detached);
    if (simulation_) simulation_->start(loop_, store_);
    return {};
}

std::string Wired::url() const {
    const auto bound = server_->bound();
    return fmt::format("https://{}:{}", bound.front().address, bound.front().port);
}

asio::awaitable<void> Wired::stop() {
    const auto self = shared_from_this();
    prune_timer_.cancel();
    if (simulation_) simulation_->stop();
    balancer_->stop();
    reservations_->stop();
    engine_->stop();
    if (const auto kept = co_await memory_->stop(); !kept)
        spdlog::warn("what is known of the hosts' memory can't be kept: {}", kept.error().chain());
    static_cast<void>(co_await plans_->roll_up());
    plans_->stop();
    migrations_->stop();
    co_await server_->stop(config_.jobs.stop_timeout / 2);
    reconciler_->stop();
    hosts_->stop();
    store_->close();
}

}  // namespace

Result<std::shared_ptr<Daemon>> start(asio::io_context& loop, const config::Config& config,
                                      const std::optional<SimulateOptions>& simulate) {
    auto wired = std::make_shared<Wired>(loop, config);
    BALLAST_CHECK(wired->start(simulate));
    return wired;
}

std::string first_token_path(const config::Config& config) {
    return state_folder(config) + "/first-token";
}

Result<std::string> recover_token(const config::Config& config, const std::string& name) {
    const auto clock = std::make_shared<SystemClock>();
    BALLAST_TRY(const auto store, store::open_store(store_options(config), clock, make_random_ids()));
    asio::io_context loop;
    auto secret = std::make_shared<std::string>();
    auto written =
        asio::co_spawn(loop,
                       store->write({.actor = "root", .origin = Origin::ballast, .job = {}},
                                    [secret, name](store::Transaction& transaction) -> Result<void> {
                                        BALLAST_TRY(const auto made, api::make_token(transaction, name, Right::admin));
                                        *secret = made.secret;
                                        return {};
                                    }),
                       asio::use_future);
    loop.run();
    const auto outcome = written.get();
    store->close();
    if (!outcome) return std::unexpected(outcome.error());
    return *secret;
}

}  // namespace ballast::daemon
