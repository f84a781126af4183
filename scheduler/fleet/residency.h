#pragma once
// Which VMs and claims may count on which host, kept from snapshot to snapshot by what has changed between them, so
// that nobody has to walk over every VM to look at one host. Decides nothing. Pure; used by one thread at a time.
//
// Claims can be held that no snapshot has yet: what was decided and is on its way to the store counts at once, so that
// two decisions in a row see each other.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/snapshot.h"
#include "scheduler/host_view.h"
#include "scheduler/memory_admission.h"

namespace ballast::scheduler {

class Residency {
  public:
    using Slot = std::uint32_t;  ///< of a host: it keeps it for ever

    struct Place {
        HostId id;
        std::shared_ptr<const Host> host;  ///< null: only other rows speak of it
        Residents residents;
    };

    struct Changes {
        std::vector<Slot> slots;  ///< whose rows differ, each once
        bool everywhere = false;  ///< something changed that any host may depend on
    };

    Residency() : snapshot_(std::make_shared<const Snapshot>()) {}

    Changes follow(std::shared_ptr<const Snapshot> next);
    /// Counts a claim until it is released, or until a snapshot has it.
    Changes hold(Claim claim);
    Changes release(const ClaimId& id);

    [[nodiscard]] const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
    [[nodiscard]] std::span<const Place> places() const { return places_; }
    [[nodiscard]] std::optional<Slot> find(const HostId& host) const;
    /// The VMs and claims, wherever they may count, that are members of a group of this VM.
    [[nodiscard]] Residents members_of(const VmSpec& spec) const;
    /// Where the VM may count itself, or a claim of it.
    [[nodiscard]] std::vector<Slot> places_of(const VmId& vm) const;

  private:
    Slot slot_of(const HostId& host);
    void mark(Slot slot, Changes& changes);
    void mark_claimed(const VmId& id, Changes& changes);
    void settle_host(const HostId& id, Changes& changes);
    void settle_vm(const VmId& id, Changes& changes);
    void settle_claim(const ClaimId& id, Changes& changes);
    void forget_vm(const VmId& id, Changes& changes);
    void forget_claim(const ClaimId& id, Changes& changes);
    void follow_storage(const Snapshot& before, Changes& changes);
    [[nodiscard]] std::shared_ptr<const Claim> claim_now(const ClaimId& id) const;

    std::shared_ptr<const Snapshot> snapshot_;
    std::vector<Place> places_;
    std::vector<std::uint64_t> marked_;  // by slot: the number of the change that marked it last
    std::uint64_t change_ = 0;
    std::unordered_map<HostId, Slot> slots_;
    template <class Row>
    struct Settled {
        std::shared_ptr<const Row> row;
        std::vector<Slot> slots;
    };
    std::unordered_map<VmId, Settled<Vm>> vms_;  // those that may count somewhere
    std::unordered_map<ClaimId, Settled<Claim>> claims_;
    std::unordered_map<VmId, std::vector<ClaimId>> vm_claims_;
    std::unordered_map<std::string, Residents> groups_;
    std::unordered_map<ClaimId, std::shared_ptr<const Claim>> held_;
};

/// The rows that may count on one host as a decision saw them: what its guard needs to judge that host again on later
/// rows at the price of what has changed since. Immutable; any thread may read it.
struct Basis {
    std::shared_ptr<const Snapshot> snapshot;
    HostId host;
    Residents residents;
    std::vector<std::string> groups;               ///< of the VM
    Residents members;                             ///< of these groups, on any host
    Groups places;                                 ///< hosts and zones that accept work; no group
    std::shared_ptr<const ClusterLoad> load = {};  ///< what the decision knew of VMs
    std::shared_ptr<const MemoryAdmission> memory = {};
};

/// Each group of the VM once.
[[nodiscard]] std::vector<std::string> groups_of(const VmSpec& spec);
/// The rows that may count there now.
[[nodiscard]] Residents residents_now(const Snapshot& now, const Basis& basis);
/// The groups of the VM now, without what `except` holds.
[[nodiscard]] Groups groups_now(const Snapshot& now, const Basis& basis, const VmSpec& of, const VmId& except);

}  // namespace ballast::scheduler
