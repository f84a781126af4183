#pragma once
// A simulated cluster, a real store, registry and reconciler over them, and "virsh": connections of their own by which
// a test acts on the hosts behind Ballast's back.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "daemon/reconcile/reconciler.h"
#include "drivers/simulated/world.h"
#include "tests/support/builders.h"
#include "tests/support/run.h"
#include "tests/unit/reconcile/watched_driver.h"
#include "tests/unit/store/fixture.h"

namespace ballast::reconcile {

namespace sim = drivers::simulated;

class WorldTest : public ::testing::Test {
  protected:
    explicit WorldTest(int hosts = 2, sim::Timing timing = {.migration_setup = Milliseconds(0)})
        : world_(sim::World::make(7, timing)), simulated_(sim::make_simulated_driver(world_)) {
        for (int i = 1; i <= hosts; ++i) add_machine("h" + std::to_string(i));
        open_store();
    }
    ~WorldTest() override {
        stop();
        for (auto& [name, host] : virsh_) host->close();
        if (store_) store_->close();
        io_.restart();
        io_.poll();
    }

    // The machines.
    void add_machine(const std::string& name, std::vector<sim::PoolModel> pools = {sim::PoolModel{}}) {
        sim::HostModel model;
        model.name = name;
        model.pools = std::move(pools);
        ASSERT_TRUE(world_->add_host(model));
        drivers::HostTarget target;
        target.id = HostId("virsh-" + name);
        target.uri = "sim://" + name;
        virsh_[name] = *simulated_->open(target, [](const drivers::DriverEvent&) {});
    }
    drivers::HostDriver& virsh(const std::string& host) { return *virsh_.at(host); }
    template <class T>
    Result<T> outside(drivers::Task<T> task) {
        return testing::run(io_, std::move(task), testing::patience, [this] { world_->step(); });
    }
    static VmId vm_id(int number) { return VmId(fmt::format("00000000-0000-4000-8000-{:012}", number)); }
    VmId define(const std::string& host, int number, std::function<void(drivers::DomainDefinition&)> adjust = {}) {
        drivers::DomainDefinition definition;
        definition.id = vm_id(number);
        definition.name = "vm" + std::to_string(number);
        if (adjust) adjust(definition);
        EXPECT_TRUE(outside(virsh(host).compute().define(definition)));
        return definition.id;
    }
    VmId run_vm(const std::string& host, int number, std::function<void(drivers::DomainDefinition&)> adjust = {}) {
        const VmId id = define(host, number, std::move(adjust));
        EXPECT_TRUE(outside(virsh(host).compute().start(id)));
        return id;
    }

    // Ballast.
    void open_store() {
        store::StoreOptions options;
        options.path = folder_.file("ballast.db");
        auto opened = store::open_store(options, world_, ids_);
        ASSERT_TRUE(opened) << opened.error().chain();
        store_ = *std::move(opened);
    }
    void start() {
        RegistryOptions registry_options;
        registry_options.call_timeout = call_timeout_;
        registry_options.retry_pause = Milliseconds(20);
        drivers::Catalog catalog({std::make_shared<WatchedDriver>(simulated_, changes_)});
        registry_ = std::make_shared<Registry>(io_.get_executor(), store_, catalog, registry_options);
        reconciler_ = std::make_shared<Reconciler>(io_.get_executor(), store_, registry_, world_, ids_, options_);
        reconciler_->start();
        registry_->start();
    }
    void stop() {
        if (reconciler_) reconciler_->stop();
        if (registry_) registry_->stop();
        reconciler_.reset();
        registry_.reset();
        turn();
    }
    void turn() {
        io_.restart();
        io_.poll();
    }
    /// A daemon that died and comes back to what its store says.
    void restart() {
        stop();
        store_->close();
        store_.reset();
        turn();
        open_store();
        start();
    }

    void write(store::Change change) {
        const auto done = testing::run(io_, store_->write({}, std::move(change)));
        ASSERT_TRUE(done) << done.error().chain();
    }
    template <class Row>
    void put(Row row, std::string kind = "test.put") {
        write([row, kind](store::Transaction& transaction) -> Result<void> {
            transaction.put(row, {kind, "by a test"});
            return {};
        });
    }
    void add_host(const std::string& name, bool managed = false, std::string machine = {}) {
        Host host;
        host.id = HostId(name);
        host.name = name;
        host.uri = "sim://" + (machine.empty() ? name : machine);
        host.managed = managed;
        put(host, "host.added");
    }
    void change_host_row(const std::string& name, std::function<void(Host&)> change) {
        Host row = *snapshot()->hosts.find(HostId(name));
        change(row);
        put(row, "host.changed");
    }
    void change_vm_row(const VmId& vm, std::function<void(Vm&)> change) {
        Vm row = *snapshot()->vms.find(vm);
        change(row);
        put(row, "vm.changed");
    }

    // What the inventory says.
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return store_->snapshot(); }
    [[nodiscard]] const Vm* vm(const VmId& id) {
        seen_ = snapshot();
        return seen_->vms.find(id);
    }
    [[nodiscard]] HostState host_state(const std::string& name) const {
        const auto now = snapshot();
        const Host* host = now->hosts.find(HostId(name));
        return host != nullptr ? host->state : HostState::removed;
    }
    [[nodiscard]] bool eventually(const std::function<bool()>& condition,
                                  Milliseconds limit = std::chrono::seconds(10)) {
        return testing::run_until(io_, condition, limit);
    }
    [[nodiscard]] bool becomes(const std::string& host, HostState state) {
        // After a restart the row still says what it said before, until the registry has written.
        return eventually([&] {
            return host_state(host) == state && (state != HostState::up || registry_->is_listed(HostId(host)));
        });
    }
    [[nodiscard]] bool becomes(const VmId& id, VmState state) {
        return eventually([&] { return vm(id) != nullptr && vm(id)->state == state; });
    }
    [[nodiscard]] std::vector<Event> events(std::string kind_prefix = {}, std::uint64_t after = 0) {
        store::EventQuery query;
        query.after = after;
        query.kind_prefix = std::move(kind_prefix);
        auto read = testing::run(io_, store_->events(std::move(query)));
        return read ? *std::move(read) : std::vector<Event>{};
    }
    [[nodiscard]] std::vector<std::string> kinds(std::string kind_prefix = {}, std::uint64_t after = 0) {
        std::vector<std::string> found;
        for (const auto& event : events(std::move(kind_prefix), after)) found.push_back(event.kind);
        return found;
    }

    store::TempFolder folder_;
    boost::asio::io_context io_;
    std::shared_ptr<sim::World> world_;
    std::shared_ptr<drivers::Driver> simulated_;
    std::map<std::string, std::shared_ptr<drivers::HostDriver>> virsh_;
    std::shared_ptr<ChangesMade> changes_ = std::make_shared<ChangesMade>();
    std::shared_ptr<IdSource> ids_ = std::make_shared<SeededIds>(1);
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<Registry> registry_;
    std::shared_ptr<Reconciler> reconciler_;
    ReconcileOptions options_{.sweep_interval = Milliseconds(200),
                              .list_interval = std::chrono::minutes(5),
                              .pair_interval = std::chrono::hours(1),
                              .settle = Milliseconds(2),
                              .retry_pause = Milliseconds(20),
                              .search = Milliseconds(100)};
    Milliseconds call_timeout_{15'000};
    std::shared_ptr<const Snapshot> seen_;
};

}  // namespace ballast::reconcile
