#pragma once
// The engine runs queued jobs: one at a time per VM, in the order they were asked for, as many at once as the settings
// allow. It decides nothing about a VM; the handlers do. At the start it takes up every job that a former daemon left
// running: same handler, same journal. Thread rule: loop thread only.

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "daemon/jobs/job_queue.h"
#include "daemon/jobs/run.h"
#include "daemon/jobs/services.h"

namespace ballast::jobs {

class Engine : public std::enable_shared_from_this<Engine> {
  public:
    explicit Engine(Services services);

    /// Takes up what was left running, then what is queued, then whatever is committed.
    void start();
    /// Begins nothing new; what runs goes on until the loop ends, and is taken up by the next daemon.
    void stop();
    [[nodiscard]] std::size_t running() const { return queue_.taken(); }

  private:
    void on_commit(const std::vector<Event>& events);
    void dispatch();
    [[nodiscard]] bool may_begin(const Job& job) const;
    void begin(const Job& job);
    void call_off(const Job& job);
    boost::asio::awaitable<void> work(RunPtr run);
    boost::asio::awaitable<void> await_hosts(RunPtr run);
    Task<> store_end(RunPtr run, Result<Json> outcome);
    boost::asio::awaitable<void> finish(RunPtr run, Result<Json> outcome);

    Services services_;
    std::shared_ptr<Signal> commits_;
    std::unique_ptr<store::Subscription> subscription_;
    JobQueue queue_;
    std::map<VmId, JobId> busy_vms_;
    std::chrono::steady_clock::time_point
        hosts_awaited_until_;  ///< what was open at the start lets the hosts be connected first
    std::set<JobId> inherited_;
    int slots_taken_ = 0;
    bool stopped_ = false;
};

}  // namespace ballast::jobs
