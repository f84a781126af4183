#pragma once
// The migration desk: what jobs and API share about migrations beside their rows. It holds the lanes' queue, the
// dirty-page curves and the moves that run in this daemon; it decides nothing itself (migration/ does) and persists
// nothing: after a restart it is rebuilt from the jobs that the engine takes up. Loop thread only.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/snapshot.h"
#include "daemon/jobs/migrate/curve_board.h"
#include "daemon/jobs/migrate/lane_queue.h"
#include "daemon/jobs/migrate/live_moves.h"
#include "daemon/jobs/rebalance/move_costs.h"
#include "daemon/jobs/services.h"
#include "daemon/reconcile/stats.h"
#include "migration/choose.h"
#include "migration/forecast.h"

namespace ballast::jobs {

/// The latest statistics of the hosts; may be empty.
using StatsNow = std::function<std::shared_ptr<const reconcile::StatsTable>()>;

/// What a forecast is made for.
struct ForecastAsk {
    MigrationTerms terms;
    ModeChoice requested = ModeChoice::auto_;
    MigrationKnobs knobs;
    std::optional<JobId> self;  ///< the migration's job, where it has one
};

class MigrationDesk : public std::enable_shared_from_this<MigrationDesk> {
  public:
    /// `services.migrations` is not looked at.
    MigrationDesk(const Services& services, StatsNow stats);

    /// Follows the store: lanes that fall free, and moves that end and teach their curve.
    void start();
    void stop() {
        subscription_.reset();
        lanes_.forget();
    }

    [[nodiscard]] LaneQueue& lanes() { return lanes_; }
    [[nodiscard]] LiveMoves& moves() { return moves_; }
    [[nodiscard]] CurveBoard& curves() { return *curves_; }

    /// What each mode would cost now. Asking makes the VM's curve wanted: it is measured in the background.
    /// Errors: failed_precondition (the VM does not run, or runs on that host).
    [[nodiscard]] Result<migration::Forecast> forecast(const Vm& vm, const HostId& to, const ForecastAsk& ask);
    /// What a forecast of each running VM would be made from now, as values: for many of them at once, off the loop.
    [[nodiscard]] KnownGuests known_guests() const;

  private:
    [[nodiscard]] Bytes memory_in_use(const Vm& vm) const;
    [[nodiscard]] double vcpu_use(const Vm& vm) const;
    void on_commit(const std::vector<Event>& events);

    std::shared_ptr<store::Store> store_;
    std::shared_ptr<const Clock> clock_;
    std::function<std::shared_ptr<const scheduler::MemoryAdmission>()> memory_;
    boost::asio::any_io_executor executor_;
    StatsNow stats_;
    LaneQueue lanes_;
    LiveMoves moves_;
    std::shared_ptr<CurveBoard> curves_;
    std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace ballast::jobs
