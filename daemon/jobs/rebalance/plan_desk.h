#pragma once
// The plan desk: what jobs, API and the daemon's own balancing share about plans. It gathers what the planner needs
// (inventory, load history, recent moves, costs) on the loop, lets it search on a thread of its own within a time
// budget, and keeps the load history. It decides nothing and moves nothing. Loop thread only, unless said otherwise.

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/rebalance/load_board.h"
#include "daemon/jobs/rebalance/outside_moves.h"
#include "daemon/jobs/rebalance/plans.h"
#include "daemon/jobs/run.h"
#include "daemon/jobs/services.h"
#include "scheduler/plan/planner.h"
#include "scheduler/plan/what_if.h"

namespace ballast::jobs {

/// scheduler::plan_cluster and scheduler::check_step, given by wire.cpp (a test may give its own).
struct Planner {
    std::function<Result<scheduler::ClusterPlan>(const Snapshot&, const scheduler::ClusterLoad&,
                                                 const std::vector<scheduler::RecentMove>&, const scheduler::MoveCosts&,
                                                 const scheduler::PlanOptions&, const scheduler::balance::RunAll&,
                                                 const scheduler::balance::Stop&)>
        plan;
    StepCheck check;
};

class PlanDesk : public std::enable_shared_from_this<PlanDesk> {
  public:
    /// `services.plans` is not looked at.
    PlanDesk(const Services& services, Planner planner, StatsNow stats);
    ~PlanDesk();
    PlanDesk(const PlanDesk&) = delete;
    PlanDesk& operator=(const PlanDesk&) = delete;

    /// Follows the store and the statistics; reads back the load history.
    void start();
    /// Ends the search that runs, keeps the load history.
    void stop();

    /// A plan on the inventory of this moment. Nothing is kept. Errors: those of options_of and the planner,
    /// unavailable (the daemon ends).
    Task<scheduler::ClusterPlan> make(PlanAsk ask);
    /// What the cluster of this moment would be like. Nothing is kept. Errors: those of scheduler::what_if,
    /// unavailable.
    Task<scheduler::WhatIfAnswer> what_if(scheduler::WhatIfAsk ask);
    /// Any thread.
    [[nodiscard]] const StepCheck& check() const { return planner_.check; }
    [[nodiscard]] const BalanceSettings& settings() const { return settings_; }

    [[nodiscard]] std::vector<scheduler::RecentMove> outside_moves() const;
    [[nodiscard]] LoadBoard& loads() { return loads_; }
    /// What VMs use, by the statistics that were taken in last.
    [[nodiscard]] std::shared_ptr<const scheduler::ClusterLoad> known_load() {
        return loads_.shared_load(clock_->now());
    }
    /// Takes in the last statistics now, and keeps what changed.
    Task<> roll_up();

  private:
    struct Search;
    void on_commit(const std::vector<Event>& events);
    boost::asio::awaitable<void> read_back();
    boost::asio::awaitable<void> follow_stats();
    boost::asio::awaitable<void> settle();

    std::shared_ptr<store::Store> store_;
    std::shared_ptr<const Clock> clock_;
    std::function<std::shared_ptr<const scheduler::MemoryAdmission>()> memory_;
    boost::asio::any_io_executor executor_;
    std::shared_ptr<MigrationDesk> migrations_;
    migration::PolicyDefaults policy_;
    int lanes_;
    BalanceSettings settings_;
    Planner planner_;
    StatsNow stats_;
    LoadBoard loads_;
    OutsideMoves outside_;
    std::unique_ptr<store::Subscription> subscription_;
    std::weak_ptr<boost::asio::steady_timer> timer_;  ///< of the coroutine that waits: the loop may end before this
    bool settling_ = false;
    std::shared_ptr<std::atomic<bool>> stopped_ = std::make_shared<std::atomic<bool>>(false);
    boost::asio::thread_pool pool_{1};
};

/// The planner's chains on this many threads.
[[nodiscard]] scheduler::balance::RunAll on_threads(int threads);

}  // namespace ballast::jobs
