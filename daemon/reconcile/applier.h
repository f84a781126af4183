#pragma once
// Applier: brings readings of hosts into the inventory, in the order in which the readings began. It takes what was
// read, merges it with the row of this moment inside the store's transaction (merge.h), and says what must be read
// again. It reads no host itself.
//
// Why an order: two readings of one VM on one host may end in another order than they began (a long list, a short
// read_domain). A reading is dropped when a later one of that VM and host was applied, when the host was lost since it
// began, or when the VM was deleted while it ran. Loop thread only, but for the change itself.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "daemon/reconcile/merge.h"
#include "daemon/store/store.h"

namespace ballast::reconcile {

struct Reading {
    VmId vm;
    HostSaid said;
    std::uint64_t ticket = 0;  ///< from Applier::ticket(), taken before the host was asked
    bool was_known = false;    ///< the inventory had the VM when the reading began
};

/// Queues the start of a VM in Ballast's own name. Errors: what is refused at once.
using StartVm = std::function<Result<void>(store::Transaction&, const VmId&)>;

struct Cause {
    Origin origin = Origin::outside;
    JobId job;                             ///< set: whatever changed is this job's doing
    bool host_is_new = false;              ///< see MergeContext
    bool proven = false;                   ///< see MergeContext
    bool searched = false;                 ///< see MergeContext
    StartVm start = {};                    ///< set when a host came (back): what is due is started (autostart.h)
    std::optional<Timestamp> booted = {};  ///< when that host booted, if it was lately
};

/// What could not be settled by these readings.
struct Leftover {
    std::map<VmId, std::set<HostId>> doubtful;  ///< read A, B, A there
    std::set<VmId> vanished;                    ///< read again in a moment
    std::vector<VmId> again;                    ///< it changed meanwhile: read it once more
};

class Applier : public std::enable_shared_from_this<Applier> {
  public:
    explicit Applier(std::shared_ptr<store::Store> store) : store_(std::move(store)) {}

    [[nodiscard]] std::uint64_t ticket() { return ++last_ticket_; }
    /// Readings of that host that began until now are void.
    void void_readings(const HostId& host) { supersede(host, ticket()); }
    /// A whole host was listed under this ticket: readings that began before it are void, and what was remembered of
    /// them is dropped.
    void supersede(const HostId& host, std::uint64_t ticket);
    [[nodiscard]] static bool knows(const Snapshot& snapshot, const VmId& vm) {
        return snapshot.vms.find(vm) != nullptr;
    }

    /// A reading that began later was taken up already: this one is dropped by apply().
    [[nodiscard]] bool is_overtaken(const Reading& reading) const;

    /// Commits the readings, a few hundred VMs per transaction. A change of a VM that a job works on is told as the
    /// job's. Errors: those of the store.
    boost::asio::awaitable<Result<Leftover>> apply(std::vector<Reading> readings, Cause cause);

  private:
    /// The readings of one VM, merged at once.
    using Group = std::pair<VmId, std::vector<Reading>>;
    struct Outcome;

    [[nodiscard]] std::shared_ptr<const std::vector<Group>> still_current(
        const std::vector<Group>& groups, const std::vector<std::size_t>& indices) const;
    [[nodiscard]] std::vector<Group> group(std::vector<Reading> readings);
    boost::asio::awaitable<Result<void>> write(std::shared_ptr<const std::vector<Group>> groups, Cause cause,
                                               std::shared_ptr<Outcome> outcome);
    static Result<void> change(store::Transaction& transaction, const std::vector<Group>& groups, const Cause& cause,
                               Outcome& outcome);
    static std::optional<std::string> find_due(const Snapshot& snapshot, const std::optional<Vm>& before,
                                               const Merged& merged, const std::vector<Reading>& readings,
                                               const Cause& cause);

    std::shared_ptr<store::Store> store_;
    std::uint64_t last_ticket_ = 0;
    std::map<HostId, std::uint64_t> void_until_;
    std::map<HostId, std::unordered_map<VmId, std::uint64_t>> applied_;
};

}  // namespace ballast::reconcile
