#pragma once
// The daemon's own balancing ([balance] mode advised or automatic): plans at an interval, keeps one recommendation that
// waits for a yes, or carries it out. Stands back while somebody else moves the VMs that it would move. Decides nothing
// about VMs: the planner does. Loop thread only.

#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "daemon/jobs/rebalance/plan_desk.h"
#include "daemon/jobs/run.h"
#include "daemon/jobs/services.h"

namespace ballast::jobs {

class Balancer : public std::enable_shared_from_this<Balancer> {
  public:
    explicit Balancer(const Services& services);

    /// Looks at every interval from now on; not at all where the mode is manual. The interval is a steady clock's.
    void start();
    void stop();
    /// One look. Errors: those of planning and of the store.
    Task<> look();

  private:
    boost::asio::awaitable<void> look_for_ever();
    /// Whether others move these VMs; tells once when that begins and when it ends.
    Task<bool> stands_back();
    Task<> advise(PlanAsk ask, scheduler::ClusterPlan plan);

    std::shared_ptr<store::Store> store_;
    std::shared_ptr<PlanDesk> plans_;
    BalanceSettings settings_;
    boost::asio::any_io_executor executor_;
    std::weak_ptr<boost::asio::steady_timer> timer_;  ///< of the coroutine that waits: the loop may end before this
    bool stood_back_ = false;
    bool stopped_ = false;
};

}  // namespace ballast::jobs
