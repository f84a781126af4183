#pragma once
// A cluster of a few lines of cluster.json, its first host open.

#include <string>

#include <gtest/gtest.h>

#include "drivers/simulated/cluster.h"
#include "tests/support/run.h"

namespace ballast::testing {

namespace sim = drivers::simulated;

class BuiltCluster : public ::testing::Test {
  protected:
    /// `sink`: of the first host.
    void build(const std::string& text, drivers::EventSink sink = nullptr) {
        const auto file = sim::parse_cluster(text);
        ASSERT_TRUE(file) << file.error().message();
        auto made = sim::build_cluster(*file);
        ASSERT_TRUE(made) << made.error().message();
        cluster = *std::move(made);
        driver = sim::make_simulated_driver(cluster.world);
        host = *driver->open({.id = HostId("h1"), .uri = "sim://h1"}, std::move(sink));
    }

    boost::asio::io_context io;
    sim::SimulatedCluster cluster;
    std::shared_ptr<drivers::Driver> driver;
    std::shared_ptr<drivers::HostDriver> host;
};

}  // namespace ballast::testing
