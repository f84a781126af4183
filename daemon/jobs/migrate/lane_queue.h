#pragma once
// The migrations that wait for their lanes. Keeps who waits and asks migration/lanes.h, at every change, who may start;
// a move that may gets its turn and keeps it until its row says that it runs (or its job ended). Nothing is persisted:
// after a restart the jobs that the engine takes up queue again, by the time they were asked for. Loop thread only.

#include <map>
#include <memory>
#include <vector>

#include "daemon/jobs/run.h"
#include "migration/lanes.h"

namespace ballast::jobs {

/// One line of the queue.
struct QueuedView {
    JobId job;
    VmId vm;
    migration::MoveEta eta;
    int position = 0;  ///< 1: the next
};

struct QueueView {
    std::vector<QueuedView> queued;
    int running = 0;
    std::optional<Timestamp> done;  ///< when the last of all is expected to have ended
};

class LaneQueue {
  public:
    LaneQueue(const Services& services);

    /// Waits until the move may start. Errors: cancelled.
    Task<> wait_turn(RunPtr run, migration::QueuedMove move);
    /// The turn is over: its row stands in the store, or it will not start. Idempotent.
    void leave(const JobId& job);
    /// The daemon stops: who waits here is waited for by nobody.
    void forget() { entries_.clear(); }
    /// Migrations began or ended: somebody may start. Also wakes those that were asked to stop.
    void changed();
    [[nodiscard]] QueueView view() const;

  private:
    struct Entry {
        Entry(RunPtr r, migration::QueuedMove m)
            : run(std::move(r)), move(std::move(m)), turn(run->services().executor) {}
        RunPtr run;
        migration::QueuedMove move;
        Signal turn;
        bool granted = false;
        std::string said;  ///< the last report
    };

    [[nodiscard]] std::vector<migration::RunningMove> running() const;
    [[nodiscard]] std::vector<migration::QueuedMove> waiting() const;
    [[nodiscard]] migration::LaneLimits limits() const;
    [[nodiscard]] migration::LinkSpeeds speeds() const;
    void report(const migration::LanePlan& plan);

    std::shared_ptr<store::Store> store_;
    std::shared_ptr<const Clock> clock_;
    Settings settings_;
    std::map<JobId, std::shared_ptr<Entry>> entries_;
};

}  // namespace ballast::jobs
