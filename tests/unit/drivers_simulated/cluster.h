#pragma once
// Two or three simulated hosts with open drivers, their events, and short ways to await a call in a test.

#include <map>
#include <string>
#include <vector>

#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include "drivers/simulated/world.h"
#include "tests/support/run.h"

namespace ballast::testing {

namespace sim = drivers::simulated;
using drivers::DriverEvent;
using drivers::HostDriver;
using drivers::MigrationProgress;
using drivers::MigrationRequest;
using drivers::MigrationStatus;

struct SimCluster {
    explicit SimCluster(int count = 2, sim::Timing timing = {.migration_setup = Milliseconds(0)},
                        BytesPerSecond link = BytesPerSecond(mebibytes(2560).count()))
        : world(sim::World::make(7, timing)), driver(sim::make_simulated_driver(world)) {
        for (int i = 1; i <= count; ++i) {
            const std::string name = "h" + std::to_string(i);
            sim::HostModel host;
            host.name = name;
            host.link = link;
            EXPECT_TRUE(world->add_host(host));
            open(name);
        }
    }
    ~SimCluster() {
        for (auto& [name, host] : hosts) host->close();
        io.restart();
        io.poll();
    }
    SimCluster(const SimCluster&) = delete;
    SimCluster& operator=(const SimCluster&) = delete;

    void open(const std::string& name) {
        drivers::HostTarget target;
        target.id = HostId(name);
        target.uri = "sim://" + name;
        hosts[name] = *driver->open(target, [this](const DriverEvent& event) { events.push_back(event); });
    }

    HostDriver& at(const std::string& name) { return *hosts.at(name); }

    /// Awaits a call that needs no virtual time.
    template <class T>
    T now(boost::asio::awaitable<T> task) {
        return testing::run(io, std::move(task));
    }
    /// Awaits a call and lets virtual time go on whenever nothing else can happen.
    template <class T>
    T later(boost::asio::awaitable<T> task) {
        return testing::run(io, std::move(task), patience, [this] { world->step(); });
    }

    VmId run_vm(const std::string& host, int number, Bytes memory, sim::GuestLoad load) {
        drivers::DomainDefinition definition;
        definition.id = VmId("00000000-0000-4000-8000-00000000000" + std::to_string(number));
        definition.name = "vm" + std::to_string(number);
        definition.spec.memory = memory;
        world->set_load(definition.id, load);
        EXPECT_TRUE(now(at(host).compute().define(definition)));
        EXPECT_TRUE(now(at(host).compute().start(definition.id)));
        return definition.id;
    }

    /// Begins a migration in the background; `result` is set at its end.
    std::shared_ptr<std::optional<Result<>>> begin_migration(const std::string& from, const MigrationRequest& request) {
        auto result = std::make_shared<std::optional<Result<>>>();
        boost::asio::co_spawn(io, at(from).migration().migrate(request),
                              [result](std::exception_ptr, Result<> value) { *result = std::move(value); });
        io.restart();
        io.poll();
        return result;
    }
    void settle() {
        io.restart();
        io.poll();
    }

    boost::asio::io_context io;
    std::shared_ptr<sim::World> world;
    std::shared_ptr<drivers::Driver> driver;
    std::map<std::string, std::shared_ptr<HostDriver>> hosts;
    std::vector<DriverEvent> events;
};

inline MigrationRequest a_move(const VmId& vm, const std::string& to, MigrationMode mode = MigrationMode::pre_copy) {
    MigrationRequest request;
    request.vm = vm;
    request.peer_uri = "sim://" + to;
    request.mode = mode;
    return request;
}

}  // namespace ballast::testing
