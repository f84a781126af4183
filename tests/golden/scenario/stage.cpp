#include "tests/golden/scenario/stage.h"

#include <regex>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/try.h"
#include "daemon/api/auth.h"
#include "daemon/api/metrics.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/row_cache.h"
#include "daemon/jobs/submit.h"
#include "drivers/catalog.h"
#include "tests/support/blocking_store.h"

namespace ballast::testing {
namespace {

namespace asio = boost::asio;

/// In memory where there is such a file system: a commit waits for no disk then.
std::filesystem::path make_folder() {
    const std::filesystem::path memory = "/dev/shm";
    const bool usable = ::access(memory.c_str(), W_OK) == 0;
    std::string pattern =
        ((usable ? memory : std::filesystem::temp_directory_path()) / "ballast-scenario-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder can be made for the store");
    return pattern;
}

/// What fills a log and tells no story: book-keeping of jobs and of what was found where.
bool is_told(const std::string& kind) {
    for (const char* quiet :
         {"pair.", "pool.", "claim.", "token.", "job.step", "job.started", "job.queued", "job.noted", "vm.job_",
          "vm.placed", "audit", "host.changed", "volume.creating", "vm.balloon_changed"})
        if (kind.starts_with(quiet)) return false;
    return true;
}

}  // namespace

Stage::Stage(std::shared_ptr<daemon::Simulation> simulation)
    : simulation_(std::move(simulation)), begun_(simulation_->world()->now()), folder_(make_folder()) {
    start_daemon();
    make_token();
    if (!until([filled = std::make_shared<bool>(false), this]() mutable {
            if (!*filled) asio::co_spawn(*loop_, simulation_->fill(store_), asio::detached);
            *filled = true;
            const auto now = snapshot();
            const auto up = now->hosts.select([](const Host& host) { return host.state == HostState::up; });
            const auto seen = [&](const auto& laid) {
                const Vm* vm = now->vms.find(laid.id);
                return vm != nullptr && vm->managed == laid.managed;
            };
            return up.size() == layout().hosts.size() && std::ranges::all_of(layout().vms, seen);
        }))
        throw std::runtime_error("the scenario's cluster does not come up");
    advance(std::chrono::minutes(1));
    begun_ = world().now();
    log_.clear();
}

Stage::~Stage() {
    stop_daemon();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

// The daemon.

void Stage::start_daemon() {
    loop_ = std::make_unique<asio::io_context>(1);
    auto opened = store::open_store({.path = (folder_ / "ballast.db").string(), .retention = {}, .readers = 1},
                                    simulation_->world(), ids_);
    if (!opened) throw std::runtime_error(opened.error().chain());
    store_ = std::make_shared<BlockingStore>(*std::move(opened));
    listening_ = store_->subscribe(loop_->get_executor(), [this](const std::vector<Event>& events) {
        for (const auto& event : events) note(event);
    });
    connect_hosts();
    run_jobs();
    make_api();
}

void Stage::connect_hosts() {
    registry_ =
        std::make_shared<reconcile::Registry>(loop_->get_executor(), store_, drivers::Catalog({simulation_->driver()}));
    reconcile::ReconcileOptions looking;
    looking.jitter_seed = 1;
    looking.sweep_interval = std::chrono::seconds(30);  // a day is a second of work for a machine
    looking.pair_interval = std::chrono::hours(1);
    looking.pair_look = std::chrono::seconds(10);
    looking.start_vm = [](store::Transaction& transaction, const VmId& vm) -> Result<void> {
        BALLAST_CHECK(
            jobs::submit(transaction, {.kind = "vm.start", .vm = vm, .host = {}, .subject = {}, .params = {"{}"}}));
        return {};
    };
    reconciler_ = std::make_shared<reconcile::Reconciler>(loop_->get_executor(), store_, registry_,
                                                          simulation_->world(), ids_, looking);
    reconciler_->start();
    registry_->start();
}

void Stage::run_jobs() {
    progress_ = std::make_shared<jobs::ProgressHub>();
    jobs::Settings settings;
    settings.default_pool = "shared";
    settings.upload_folder = folder_.string();
    jobs::Services services{.executor = loop_->get_executor(),
                            .store = store_,
                            .hosts = registry_,
                            .observer = reconciler_,
                            .clock = simulation_->world(),
                            .ids = ids_,
                            .progress = progress_,
                            .settings = settings,
                            .migrations = {},
                            .plans = {}};
    desk_ = std::make_shared<jobs::MigrationDesk>(services, [this] { return reconciler_->stats(); });
    desk_->start();
    services.migrations = desk_;
    pictures_ = std::make_shared<overcommit::PictureBoard>();
    admissions_ = std::make_shared<overcommit::AdmissionSource>(pictures_);
    services.memory = [this] { return admissions(); };
    services.preferences = [this] {
        scheduler::Preferences preferences;
        preferences.memory = admissions();
        return preferences;
    };
    services.shrink_before_move = [this](VmId vm, BytesPerSecond bandwidth) -> store::Task<> {
        if (!memory_) co_return Result<void>{};
        co_return co_await memory_->shrink_before_move(std::move(vm), bandwidth);
    };
    services_ = services;
    start_memory();
    engine_ = std::make_shared<jobs::Engine>(std::move(services));
    engine_->start();
}

// The memory of hosts, where the scenario wants it kept: its desk waits on the loop's timers, so on virtual time.

void Stage::keep_memory(overcommit::MemorySettings settings) {
    if (memory_settings_) throw std::runtime_error("the memory of hosts is kept already");
    memory_settings_ = std::move(settings);
    start_memory();
    settle();
}

void Stage::start_memory() {
    if (!memory_settings_) return;
    memory_ = std::make_shared<overcommit::MemoryDesk>(*services_, pictures_, *memory_settings_,
                                                       [this](const HostId& host) { return seen_of(host); });
    memory_->start();
}

/// What an exporter of the simulated host says.
std::optional<overcommit::Seen> Stage::seen_of(const HostId& host) {
    const auto row = snapshot()->hosts.find_ptr(host);
    const auto pressure = row ? world().pressure_of(row->name) : std::nullopt;
    if (!pressure) return std::nullopt;
    overcommit::Seen seen;
    seen.strain = {.pressure = pressure->some, .swap_in = pressure->swap_in};
    seen.reading.emplace().filesystems.push_back({.mount_point = "/", .available = pressure->disk_free});
    return seen;
}

std::shared_ptr<const scheduler::MemoryAdmission> Stage::admissions() const {
    if (!memory_) return nullptr;
    return admissions_->now();
}

void Stage::make_api() {
    auto context = std::make_shared<api::Context>();
    context->store = store_;
    context->clock = simulation_->world();
    context->ids = ids_;
    context->hosts = registry_;
    context->observer = reconciler_;
    context->progress = progress_;
    context->migrations = desk_;
    context->preferences = services_->preferences;
    context->memory = [board = pictures_] { return board->all(); };
    context->check_uri = [driver = simulation_->driver()](std::string_view uri) { return driver->check_uri(uri); };
    context->default_pool = "shared";
    context->upload_folder = folder_.string();
    context->loop = loop_->get_executor();
    context->cpu = loop_->get_executor();
    context->rows = std::make_shared<api::RowCache>();
    context->metrics = std::make_shared<api::Metrics>();
    router_ = std::make_unique<api::Router>(api::all_routes(), std::move(context));
}

void Stage::make_token() {
    store::Change change = [this](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(const auto made, api::make_token(transaction, "operator", Right::admin));
        token_ = made.secret;
        return {};
    };
    if (!run(store_->write({}, std::move(change)))) throw std::runtime_error("no token can be made");
}

void Stage::stop_daemon() {
    if (engine_) engine_->stop();
    if (desk_) desk_->stop();
    if (reconciler_) reconciler_->stop();
    if (registry_) registry_->stop();
    for (auto& [name, driver] : outsiders_) driver->close();
    outsiders_.clear();
    listening_.reset();
    if (store_) store_->close();
    memory_.reset();  // nobody asks it to stop, so it still listens, by a strand that must not outlive its loop
    loop_.reset();    // suspended coroutines die with it, as with the process
    clock_.forget_timers();
    router_.reset();
    services_.reset();
    engine_.reset();
    desk_.reset();
    reconciler_.reset();
    registry_.reset();
    store_.reset();
}

void Stage::restart() {
    settle();
    stop_daemon();
    start_daemon();
    settle();
}

drivers::HostDriver& Stage::outsider(const std::string& host) {
    auto& driver = outsiders_[host];
    if (!driver) {
        auto opened = simulation_->driver()->open({.id = HostId("outside"), .uri = "sim://" + host}, nullptr);
        if (!opened) throw std::runtime_error(opened.error().chain());
        driver = *std::move(opened);
    }
    return *driver;
}

api::Response Stage::ask(api::Verb verb, const std::string& path, const std::string& body) {
    api::Request request;
    request.verb = verb;
    request.path = path.substr(0, path.find('?'));
    if (const auto at = path.find("?dry_run=true"); at != std::string::npos) request.query["dry_run"] = "true";
    request.headers["authorization"] = "Bearer " + token_;
    request.headers["content-type"] = "application/json";
    request.body = body;
    request.peer = "local";
    auto admitted = router_->admit(request);
    if (auto* refused = std::get_if<api::Response>(&admitted)) return std::move(*refused);
    return run(router_->handle(std::get<const api::Route*>(admitted), std::move(request)));
}

// Time.

/// Everything that can happen in this moment: no other thread has anything to add (blocking_store.h).
void Stage::settle() {
    loop_->restart();
    loop_->poll();
}

std::optional<Timestamp> Stage::next_moment() const {
    auto next = simulation_->world()->next_event();
    if (const auto timer = clock_.next_timer()) {
        const Timestamp due = scenario_start + std::chrono::ceil<Milliseconds>(*timer);
        if (!next || due < *next) next = due;
    }
    return next;
}

void Stage::move_to(Timestamp time) {
    const Timestamp now = world().now();
    if (time > now) world().advance(time - now);
    clock_.move_to(world().now() - scenario_start);
    settle();
}

void Stage::advance(Milliseconds by) {
    const Timestamp end = world().now() + by;
    settle();
    for (auto next = next_moment(); next && *next <= end; next = next_moment()) move_to(*next);
    move_to(end);
}

bool Stage::until(const std::function<bool()>& condition, Milliseconds limit) {
    const Timestamp end = world().now() + limit;
    settle();
    while (!condition()) {
        const auto next = next_moment();
        if (!next || *next > end) return false;
        move_to(*next);
    }
    return true;
}

// The log.

std::string Stage::time_of(Timestamp time) const {
    const auto since = std::max(Milliseconds(0), time - begun_);
    const std::chrono::hh_mm_ss parts(since);
    return fmt::format("{}:{:02}:{:02}.{:03}", parts.hours().count(), parts.minutes().count(), parts.seconds().count(),
                       parts.subseconds().count());
}

void Stage::log(std::string_view text) {
    log_ += fmt::format("{:>12}  {}\n", time_of(world().now()), readable(std::string(text)));
}

void Stage::note(const Event& event) {
    if (!is_told(event.kind)) return;
    const std::string actor = event.origin == Origin::outside ? " (outside)" : "";
    log_ += fmt::format("{:>12}  {:<26} {}{}\n", time_of(event.time), event.kind, readable(event.message), actor);
}

std::string Stage::readable(std::string text) const {
    const auto now = store_->snapshot();
    static const std::regex id("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    static const std::regex job("\\b[0-9a-f]{16}\\b");
    static const std::regex volume("-[0-9a-f]{8}\\.(qcow2|raw)");
    static const std::regex moment("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z");
    std::smatch found;
    for (std::string rest = std::exchange(text, {});; rest = found.suffix()) {
        if (!std::regex_search(rest, found, id)) {
            text += rest;
            break;
        }
        const Vm* vm = now->vms.find(VmId(found.str()));
        const Host* host = now->hosts.find(HostId(found.str()));
        const std::string other = found.str() == now->cluster ? "this one" : "<id>";
        text += found.prefix().str() + (vm != nullptr ? vm->name : host != nullptr ? host->name : other);
    }
    for (std::string rest = std::exchange(text, {});; rest = found.suffix()) {
        if (!std::regex_search(rest, found, moment)) {
            text += rest;
            break;
        }
        const auto time = parse_timestamp(found.str());
        text += found.prefix().str() + (time ? time_of(*time) : "<time>");
    }
    return std::regex_replace(std::regex_replace(text, job, "<job>"), volume, ".$1");
}

}  // namespace ballast::testing
