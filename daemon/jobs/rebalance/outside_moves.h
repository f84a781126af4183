#pragma once
// Moves that somebody else makes: another controller, or an operator with virsh, moves a VM that Ballast manages. Keeps
// them for a while so that the planner leaves such VMs alone, and the daemon's own balancing stands back where there
// are many. In memory, filled from the event log at the start; bounded. Loop thread only.

#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "core/snapshot.h"
#include "scheduler/plan/planner.h"

namespace ballast::jobs {

class OutsideMoves {
  public:
    explicit OutsideMoves(Seconds window) : window_(window) {}

    /// Where every VM is now: the next move leaves from there.
    void begin(const Snapshot& snapshot);
    /// Follows the events in order, by their after-images: the inventory may be further already.
    void note(const Event& event);
    /// Moves of before begin(), oldest first.
    void add(std::vector<scheduler::RecentMove> moves);
    /// Those within the window; a move that a jump of the clock puts into the future counts as made now.
    [[nodiscard]] std::vector<scheduler::RecentMove> recent(Timestamp now) const;

  private:
    Seconds window_;
    std::map<VmId, HostId> where_;
    std::deque<scheduler::RecentMove> moves_;
};

/// The owner in the JSON of a VM's row; nothing: it has none, or there is no row.
[[nodiscard]] std::optional<HostId> owner_in(std::string_view vm);

/// Every move within the window: those of Ballast's own migrations, then those of others.
[[nodiscard]] std::vector<scheduler::RecentMove> recent_moves(const Snapshot& snapshot, const OutsideMoves& outside,
                                                              Seconds window, Timestamp now);

}  // namespace ballast::jobs
