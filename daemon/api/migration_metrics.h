#pragma once
// Finished migrations as Prometheus histograms, by mode and result: duration, downtime, bytes, rounds, and how far the
// forecast was off. Each row is counted once, when it is first seen with its outcome, so the counts never go back while
// the daemon runs, whatever is pruned. Loop thread only.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/snapshot.h"

namespace ballast::api {

class MigrationMetrics {
  public:
    /// Counts what has ended since the last time.
    void count(const Snapshot& snapshot);
    /// In the exposition format.
    [[nodiscard]] std::string render() const;

  private:
    struct Series {
        std::vector<std::uint64_t> within;  ///< cumulative, by bucket
        std::uint64_t count = 0;
        double sum = 0;
    };
    using Histogram = std::map<std::string, Series>;  ///< by labels

    void count(const Migration& migration);
    static void observe(Histogram& histogram, const std::string& labels, const std::vector<double>& buckets,
                        double value);

    std::set<JobId> counted_;
    Histogram duration_;
    Histogram downtime_;
    Histogram bytes_;
    Histogram rounds_;
    Histogram error_;
};

}  // namespace ballast::api
