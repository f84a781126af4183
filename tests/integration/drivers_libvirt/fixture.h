#pragma once
// One lab of two hosts for all tests of this executable, and a driver connected to both. Each test uses VMs of its own
// and removes them.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "drivers/libvirt/libvirt_driver.h"
#include "tests/support/lab.h"
#include "tests/support/run.h"

namespace ballast::testing {

/// Events of one host, kept for tests. Thread-safe: the sink is called from any thread.
class Events {
  public:
    void add(const drivers::DriverEvent& event) {
        const std::scoped_lock lock(mutex_);
        all_.push_back(event);
    }
    [[nodiscard]] std::vector<drivers::DriverEvent> all() const {
        const std::scoped_lock lock(mutex_);
        return all_;
    }
    [[nodiscard]] bool has(drivers::DriverEvent::Kind kind, const VmId& vm, const std::string& detail = {}) const;
    [[nodiscard]] bool has_link(drivers::LinkState state) const;

  private:
    mutable std::mutex mutex_;
    std::vector<drivers::DriverEvent> all_;
};

class LabDriver : public ::testing::Test {
  protected:
    static void SetUpTestSuite();
    void SetUp() override;
    void TearDown() override;

    template <class T>
    T run(boost::asio::awaitable<T> task, std::chrono::milliseconds limit = std::chrono::seconds(90)) {
        return testing::run(io_, std::move(task), limit);
    }
    [[nodiscard]] bool until(const std::function<bool()>& condition,
                             std::chrono::milliseconds limit = std::chrono::seconds(60)) {
        return run_until(io_, condition, limit);
    }
    [[nodiscard]] DomainState state_on(std::size_t host, const VmId& vm);
    /// A tiny guest with a load; defined and started on a host, with a log of its console, removed by TearDown.
    [[nodiscard]] drivers::DomainDefinition guest(const std::string& name, const std::string& load = "8:200:random");
    void make_running(std::size_t host, const drivers::DomainDefinition& definition) {
        start(host, definition);
        await_heartbeat(definition);
    }
    void start(std::size_t host, const drivers::DomainDefinition& definition);
    void await_heartbeat(const drivers::DomainDefinition& definition);
    [[nodiscard]] std::string console_log(const drivers::DomainDefinition& definition) const;

    static Lab& lab();
    drivers::HostDriver& host(std::size_t index) { return *hosts_.at(index); }

    boost::asio::io_context io_;
    std::vector<std::shared_ptr<drivers::HostDriver>> hosts_;
    std::vector<std::shared_ptr<Events>> events_;
    std::vector<VmId> made_;
};

}  // namespace ballast::testing
