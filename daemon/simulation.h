#pragma once
// `ballastd --simulate cluster.json`: the same daemon on hosts in memory. Puts the file's hosts into the inventory and
// adopts its VMs, as an operator would; decides nothing else. With it only sim:// hosts are spoken to: no real host can
// be touched. The simulated cluster begins anew with each start, so it wants a store without hosts. Loop thread.

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "daemon/store/store.h"
#include "drivers/simulated/cluster.h"

namespace ballast::daemon {

struct SimulateOptions {
    std::string file;
    std::string traces = {};
    double speed = 1;  ///< seconds of the cluster per real one
};

class Simulation : public std::enable_shared_from_this<Simulation> {
  public:
    /// Errors: those of the cluster file, invalid_argument (the speed).
    [[nodiscard]] static Result<std::shared_ptr<Simulation>> open(const SimulateOptions& options, Timestamp now);

    [[nodiscard]] std::shared_ptr<drivers::Driver> driver() const { return driver_; }
    [[nodiscard]] const std::shared_ptr<drivers::simulated::World>& world() const { return cluster_.world; }
    [[nodiscard]] const drivers::simulated::Layout& layout() const { return cluster_.layout; }
    /// Errors: failed_precondition when the store holds hosts: another cluster's, or an earlier run's.
    [[nodiscard]] Result<void> check_store(const Snapshot& snapshot) const;
    /// Time begins, and `fill`.
    void start(boost::asio::io_context& loop, std::shared_ptr<store::Store> store);
    /// Hosts enter the inventory, and what their VMs' groups allow is adopted as it shows up; ends when all of it is.
    boost::asio::awaitable<void> fill(std::shared_ptr<store::Store> store);
    void stop() { stopped_ = true; }

  private:
    Simulation(drivers::simulated::SimulatedCluster cluster, double speed);
    boost::asio::awaitable<void> adopt_all(std::shared_ptr<store::Store> store);
    [[nodiscard]] std::size_t not_adopted(const Snapshot& snapshot) const;

    drivers::simulated::SimulatedCluster cluster_;
    double speed_;
    std::shared_ptr<drivers::Driver> driver_;
    bool stopped_ = false;
};

}  // namespace ballast::daemon
