#pragma once
// What a move would cost, for the planner: the migration desk's forecast, asked off the loop. Holds all that a forecast
// needs as values; remembers each answer (one per VM and target). Any thread, several at once.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/snapshot.h"
#include "migration/curve.h"
#include "migration/history.h"
#include "migration/policy.h"
#include "scheduler/plan/planner.h"

namespace ballast::jobs {

/// What the desk knows of a running VM at one moment.
struct KnownGuest {
    Bytes in_use;
    double vcpu_use = 0;
    std::optional<migration::DirtyCurve> curve;
};
using KnownGuests = std::map<VmId, KnownGuest>;

class MoveCostBook {
  public:
    MoveCostBook(std::shared_ptr<const Snapshot> snapshot, KnownGuests guests, migration::PolicyDefaults defaults,
                 Timestamp now);

    [[nodiscard]] scheduler::MoveCost cost(const Vm& vm, const HostId& from, const HostId& to);

  private:
    [[nodiscard]] scheduler::MoveCost forecast(const Vm& vm, const HostId& to) const;
    /// The inventory with no other migrations than those that a forecast of this VM looks at.
    [[nodiscard]] Snapshot about(const VmId& vm) const;

    std::shared_ptr<const Snapshot> snapshot_;
    Snapshot lean_;
    std::multimap<VmId, std::shared_ptr<const Migration>> past_;
    KnownGuests guests_;
    migration::PolicyDefaults defaults_;
    migration::PairHistories histories_;
    Timestamp now_;
    std::mutex mutex_;
    std::map<std::pair<VmId, HostId>, scheduler::MoveCost> known_;
};

}  // namespace ballast::jobs
