#pragma once
// The load history of every VM: what it uses on average, how far it strays, and what it uses at which hour of the day.
// Fed with each statistics sweep (reconcile/stats.h), never through the event log; of every VM a fixed number of
// figures (SAFETY.md 14). Weighs a sample by the time it stands for, taken from a clock that never jumps; only the hour
// of the day is the wall clock's. Loop thread only.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "daemon/reconcile/stats.h"
#include "scheduler/plan/load.h"

namespace ballast::jobs {

/// What is kept of one VM. Exponentially weighted: mean and mean square over the last hour or so, each hour of the day
/// over the last days. JSON: what a restart reads again.
struct LoadHistory {
    double seconds = 0;  ///< of samples seen, up to the window: how much the averages mean
    double cpu = 0;      ///< cores
    double cpu_square = 0;
    double memory = 0;  ///< bytes
    double memory_square = 0;
    std::vector<double> hours;    ///< 24 means in cores, or none yet
    std::vector<double> sampled;  ///< seconds seen of each hour
    friend bool operator==(const LoadHistory&, const LoadHistory&) = default;
};
BOOST_DESCRIBE_STRUCT(LoadHistory, (), (seconds, cpu, cpu_square, memory, memory_square, hours, sampled))

/// One sample that stands for `lasted`.
void note_sample(LoadHistory& history, double cores, Bytes memory, std::chrono::duration<double> lasted, int hour);
/// What the planner is told. Short histories have a larger deviation.
[[nodiscard]] scheduler::VmLoad load_of(const LoadHistory& history);

class LoadBoard {
  public:
    /// What was seen since the last call; a host whose sample is known already is passed over.
    void note(const reconcile::StatsTable& stats);
    [[nodiscard]] scheduler::ClusterLoad load(Timestamp now) const;
    /// The same to be shared: made anew only when something was noted since.
    [[nodiscard]] std::shared_ptr<const scheduler::ClusterLoad> shared_load(Timestamp now);

    /// VMs that are gone are forgotten. The keys that were kept for them are given.
    [[nodiscard]] std::vector<VmId> forget_all_but(const std::function<bool(const VmId&)>& known);
    /// As texts, by id, of those that changed since the last call.
    [[nodiscard]] std::map<std::string, std::string> take_changed();
    /// What take_changed gave before a restart. A text that can't be read is passed over.
    void restore(const std::map<std::string, std::string>& texts);
    [[nodiscard]] std::size_t size() const { return vms_.size(); }

  private:
    struct Entry {
        LoadHistory history;
        bool changed = false;
    };
    struct Seen {
        std::weak_ptr<const reconcile::HostSample> sample;
        std::chrono::steady_clock::time_point at;
    };
    void note_host(const reconcile::HostSample& sample, std::chrono::duration<double> lasted);

    std::map<VmId, Entry> vms_;
    std::shared_ptr<const scheduler::ClusterLoad> shared_;  ///< nullptr: out of date
    std::map<HostId, Seen> seen_;
};

}  // namespace ballast::jobs
