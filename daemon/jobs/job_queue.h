#pragma once
// The jobs that have not ended, in the order of their turns: those left running first, then the queue in the order of
// asking. Kept from snapshot to snapshot by what has changed: ended jobs stay in the inventory for weeks and are not
// looked at again. Which of them may begin is the engine's to say. Thread rule: loop thread only.

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include "core/snapshot.h"

namespace ballast::jobs {

/// Whether a job counts against `concurrent_jobs`. Migrations are held back by their lanes, evacuations and plans by
/// their migrations: none keeps other work waiting.
[[nodiscard]] bool takes_slot(std::string_view kind);

/// Cancelled before it began: it ends at once, however long it would have waited.
[[nodiscard]] bool is_called_off(const Job& job);

class JobQueue {
  public:
    struct Turn {
        bool queued = false;
        JobId id;
        friend auto operator<=>(const Turn&, const Turn&) = default;
    };

    void follow(std::shared_ptr<const Snapshot> next);
    /// It is being worked on, so it waits no longer.
    void take(const JobId& id);
    /// It is worked on no longer. Where its end could not be stored it waits again.
    void give_back(const JobId& id);
    [[nodiscard]] std::size_t taken() const { return taken_.size(); }

    /// The job whose turn comes after that one, and its turn; without a slot, of those that need none. A turn without
    /// an id comes before all.
    [[nodiscard]] std::optional<std::pair<Turn, std::shared_ptr<const Job>>> next(const Turn& after,
                                                                                  bool slot_is_free) const;

    /// Whether no job of the same VM waits before it. One that needs no slot must not overtake one that waits for its.
    [[nodiscard]] bool is_first_of_its_vm(const Job& job) const;

  private:
    void settle(const JobId& id, const VmId& vm);
    void settle(const JobId& id);

    std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
    std::set<Turn> for_a_slot_;
    std::set<Turn> for_none_;
    std::map<VmId, std::set<Turn>> by_vm_;  // of both, but for those that are called off
    std::set<JobId> taken_;
};

}  // namespace ballast::jobs
