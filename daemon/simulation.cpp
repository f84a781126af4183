#include "daemon/simulation.h"

#include <cmath>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"

namespace ballast::daemon {
namespace {

namespace asio = boost::asio;
namespace sim = drivers::simulated;

constexpr double slowest = 0.01;
constexpr double fastest = 10'000;
constexpr Milliseconds look_again{200};

void put_host(store::Transaction& transaction, const sim::LaidHost& laid) {
    Host host;
    host.id = HostId(transaction.ids().uuid());
    host.name = laid.name;
    host.uri = "sim://" + laid.name;
    host.managed = laid.managed;
    host.settings = laid.settings;
    host.state_since = transaction.now();
    transaction.put(std::move(host), {"host.added", fmt::format("host {} of the simulated cluster was added as {}",
                                                                laid.name, laid.managed ? "managed" : "observed")});
}

/// Whether Ballast sees the VM, and not yet as one to act on.
bool waits_for_adoption(const Snapshot& snapshot, const sim::LaidVm& laid) {
    const Vm* vm = snapshot.vms.find(laid.id);
    return laid.managed && vm != nullptr && !vm->managed && vm->host && vm->state != VmState::unknown &&
           vm->state != VmState::conflict;
}

void adopt(store::Transaction& transaction, const sim::LaidVm& laid) {
    if (!waits_for_adoption(transaction.snapshot(), laid)) return;
    Vm vm = *transaction.snapshot().vms.find(laid.id);
    vm.managed = true;
    vm.spec.memory_policy = MemoryPolicy::none;
    vm.spec.moves = laid.spec.moves;
    vm.spec.labels = laid.spec.labels;
    vm.spec.anti_affinity = laid.spec.anti_affinity;
    vm.spec.autostart = laid.spec.autostart;
    vm.spec.memory_minimum = laid.spec.memory_minimum;
    vm.spec.overcommit = laid.spec.overcommit;
    transaction.put(std::move(vm),
                    {"vm.adopted", fmt::format("VM {} of the simulated cluster was adopted", laid.name)});
}

}  // namespace

Simulation::Simulation(sim::SimulatedCluster cluster, double speed)
    : cluster_(std::move(cluster)), speed_(speed), driver_(sim::make_simulated_driver(cluster_.world)) {}

Result<std::shared_ptr<Simulation>> Simulation::open(const SimulateOptions& options, Timestamp now) {
    if (!std::isfinite(options.speed) || options.speed < slowest || options.speed > fastest)
        return fail(Code::invalid_argument, "--speed takes {} to {}, not {}", slowest, fastest, options.speed);
    BALLAST_TRY(const auto file, sim::read_cluster_file(options.file));
    BALLAST_TRY(auto cluster, sim::build_cluster(file, {.start = now, .traces = options.traces}));
    return std::shared_ptr<Simulation>(new Simulation(std::move(cluster), options.speed));
}

Result<void> Simulation::check_store(const Snapshot& snapshot) const {
    if (snapshot.hosts.empty()) return {};
    return fail(
        Code::failed_precondition,
        "the store holds {} hosts already, and a simulated cluster begins anew with each start: name a fresh one "
        "(--set store.path=…), or remove what an earlier simulation left",
        snapshot.hosts.size());
}

void Simulation::start(asio::io_context& loop, std::shared_ptr<store::Store> store) {
    spdlog::info("simulating {} hosts and {} VMs, {} times as fast as real", cluster_.layout.hosts.size(),
                 cluster_.layout.vms.size(), speed_);
    cluster_.world->follow_real_time(loop.get_executor(), speed_);
    asio::co_spawn(loop, fill(std::move(store)), asio::detached);
}

asio::awaitable<void> Simulation::fill(std::shared_ptr<store::Store> store) {
    const auto self = shared_from_this();
    const auto added = co_await store->write({}, [self](store::Transaction& transaction) -> Result<void> {
        for (const auto& host : self->cluster_.layout.hosts) put_host(transaction, host);
        return {};
    });
    if (!added) {
        spdlog::error("the simulated hosts could not be added: {}", added.error().chain());
        co_return;
    }
    asio::steady_timer pause(co_await asio::this_coro::executor);
    while (!stopped_ && not_adopted(*store->snapshot()) > 0) {
        pause.expires_after(look_again);
        co_await pause.async_wait(asio::use_awaitable);
        co_await adopt_all(store);
    }
}

std::size_t Simulation::not_adopted(const Snapshot& snapshot) const {
    std::size_t open = 0;
    for (const auto& laid : cluster_.layout.vms) {
        const Vm* vm = snapshot.vms.find(laid.id);
        if (laid.managed && (vm == nullptr || !vm->managed)) ++open;
    }
    return open;
}

asio::awaitable<void> Simulation::adopt_all(std::shared_ptr<store::Store> store) {
    const auto self = shared_from_this();
    const auto snapshot = store->snapshot();
    bool any = false;
    for (const auto& laid : cluster_.layout.vms) any = any || waits_for_adoption(*snapshot, laid);
    if (!any) co_return;
    const auto written = co_await store->write({}, [self](store::Transaction& transaction) -> Result<void> {
        for (const auto& laid : self->cluster_.layout.vms) adopt(transaction, laid);
        return {};
    });
    if (!written) spdlog::warn("simulated VMs could not be adopted: {}", written.error().chain());
}

}  // namespace ballast::daemon
