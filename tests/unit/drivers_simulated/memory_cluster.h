#pragma once
// A built cluster, and what the memory of its hosts shows.

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/drivers_simulated/built_cluster.h"

namespace ballast::testing {

class MemoryOfHosts : public BuiltCluster {
  protected:
    void build(const std::string& text) { BuiltCluster::build(text, listener()); }
    std::shared_ptr<drivers::HostDriver> open(const std::string& name) {
        return *driver->open({.id = HostId(name), .uri = "sim://" + name}, listener());
    }
    /// Notes what is heard, with the name of the VM.
    drivers::EventSink listener() {
        return [this](const drivers::DriverEvent& event) {
            const std::string who = event.vm.str().empty() ? std::string() : name_of(event.vm) + " ";
            heard.push_back(who + event.detail);
            heard_at.push_back(world().now());
        };
    }
    [[nodiscard]] std::string name_of(const VmId& vm) const {
        const auto found = std::ranges::find(cluster.layout.vms, vm, &sim::LaidVm::id);
        return found == cluster.layout.vms.end() ? std::string() : found->name;
    }
    [[nodiscard]] VmId id(std::size_t index = 0) const { return cluster.layout.vms.at(index).id; }
    sim::World& world() { return *cluster.world; }
    void wait(Milliseconds time) { world().advance(time); }

    drivers::MemoryStats read() { return run(io, host->memory().read()).value(); }
    drivers::DomainStats stats(std::size_t index = 0) {
        const auto all = read();
        const auto found = std::ranges::find(all.domains, id(index), &drivers::DomainStats::id);
        EXPECT_NE(found, all.domains.end());
        return found == all.domains.end() ? drivers::DomainStats() : *found;
    }
    sim::GuestMemory guest(std::size_t index = 0, const std::string& at = "h1") {
        return world().memory_of(at, id(index)).value_or(sim::GuestMemory());
    }
    Result<> set_balloon(Bytes target, std::size_t index = 0) {
        return run(io, host->memory().set_balloon(id(index), target));
    }
    [[nodiscard]] bool has_heard(const std::string& text) const {
        return std::ranges::find(heard, text) != heard.end();
    }
    /// Awaits a call that takes virtual time.
    Result<> later(drivers::Task<> task) {
        return run(io, std::move(task), patience, [this] { world().step(); });
    }

    std::vector<std::string> heard;
    std::vector<Timestamp> heard_at;
};

inline double in_mib(Bytes bytes) {
    return bytes / mebibytes(1);
}

}  // namespace ballast::testing
