#pragma once
// Numbers about the API itself, and the Prometheus text of the whole daemon. Counts only; reads the snapshot when
// asked. Loop thread only.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "core/units.h"
#include "daemon/api/migration_metrics.h"
#include "daemon/store/store.h"

namespace ballast::api {

class Metrics {
  public:
    void count_request(const std::string& operation, std::string_view method, int status, double seconds);
    void count_connection(int change) { connections_ += change; }
    void count_refused_connection() { ++refused_connections_; }
    void count_stream(int change) { streams_ += change; }
    void count_cut_stream() { ++cut_streams_; }
    [[nodiscard]] int connections() const { return connections_; }
    [[nodiscard]] int streams() const { return streams_; }

    /// Whether one more refused write may be logged: 20 in 10 s. Gives how many were dropped before it.
    [[nodiscard]] std::optional<std::uint64_t> admit_refusal(Timestamp now);

    [[nodiscard]] std::string render(const Snapshot& snapshot, const store::Health& health, std::string_view version,
                                     Timestamp now, std::optional<std::uint64_t> queued_migrations = {});

  private:
    static constexpr std::array buckets{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0};
    struct Series {
        std::map<int, std::uint64_t> by_status;
        std::array<std::uint64_t, buckets.size()> within{};
        std::uint64_t count = 0;
        double sum = 0;
    };
    [[nodiscard]] std::string render_http() const;

    std::map<std::pair<std::string, std::string>, Series> requests_;  ///< operation, method
    MigrationMetrics migrations_;
    int connections_ = 0;
    int streams_ = 0;
    std::uint64_t refused_connections_ = 0;
    std::uint64_t cut_streams_ = 0;
    Timestamp refusal_window_;
    int refusals_ = 0;
    std::uint64_t dropped_refusals_ = 0;
};

}  // namespace ballast::api
