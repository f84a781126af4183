#pragma once
// Progress of running jobs: in memory only, coalesced per job, never in the durable log (SAFETY.md 14). Loop thread
// only.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/ids.h"
#include "core/json.h"
#include "core/units.h"

namespace ballast::jobs {

/// The last known progress of one job; `data` is an object (migration: phase, round, sent_bytes, remaining_bytes, …).
struct Progress {
    JobId job;
    VmId vm;
    int percent = 0;   ///< 0 to 100
    std::string text;  ///< for people
    JsonText data;
    Timestamp time;
};

class ProgressHub {
  public:
    using Listener = std::function<void(const Progress&)>;

    /// Keeps the listener until the returned handle is dropped.
    [[nodiscard]] std::shared_ptr<void> subscribe(Listener listener) {
        auto handle = std::make_shared<Listener>(std::move(listener));
        listeners_[handle.get()] = handle;
        return handle;
    }

    void publish(Progress progress) {
        last_[progress.job] = progress;
        for (auto at = listeners_.begin(); at != listeners_.end();) {
            if (auto listener = at->second.lock()) {
                (*listener)(progress);
                ++at;
            } else {
                at = listeners_.erase(at);
            }
        }
    }

    void forget(const JobId& job) { last_.erase(job); }

    [[nodiscard]] const Progress* find(const JobId& job) const {
        const auto at = last_.find(job);
        return at == last_.end() ? nullptr : &at->second;
    }

  private:
    std::map<JobId, Progress> last_;
    std::map<const Listener*, std::weak_ptr<Listener>> listeners_;
};

}  // namespace ballast::jobs
