#pragma once
// The fleet: the inventory kept ready for placement. Chooses the same host as decide() (placement.h), by the same
// rules, scores and tie-break, but does not ask every host again for every VM: it follows the snapshot by what has
// changed (residency.h), keeps the view of each host, and for each class of alike requests (request_class.h) the rank
// of each host in a tournament. Only hosts that changed since the class was last asked are ranked again; wishes about
// groups of VMs are left out of the class and asked best host first, until one that fits is better than what is left.
// A rank in the tournament is therefore a bound: no request of its class ranks that host higher.
//
// N+1 (redundancy.h), where it is asked for, is asked of the best host first, too. Beyond the limit of its search, and
// where many hosts can't be absorbed, it may answer otherwise than decide(), which knows nothing from before
// (absorb.h).
//
// Never claims and never explains: decide() does, when a request finds no host. Pure, no clock; one thread at a time.

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "scheduler/choice.h"
#include "scheduler/fleet/residency.h"
#include "scheduler/fleet/tournament.h"
#include "scheduler/placement.h"
#include "scheduler/redundancy.h"

namespace ballast::scheduler {

class Fleet {
  public:
    Fleet() = default;
    explicit Fleet(std::shared_ptr<const Snapshot> snapshot) { follow(std::move(snapshot)); }

    /// Compares hosts by these from now on.
    void prefer(Preferences preferences);
    /// Takes over what has changed since the snapshot that it followed last.
    void follow(std::shared_ptr<const Snapshot> next);
    /// Counts a claim that is on its way to the store, until it is released or a snapshot has it.
    void hold(Claim claim);
    void release(const ClaimId& id);

    /// decide(snapshot, request, seed).chosen, with the claims that are held.
    [[nodiscard]] std::optional<HostId> choose(const PlacementRequest& request, std::uint64_t seed);

    [[nodiscard]] const std::shared_ptr<const Snapshot>& snapshot() const { return residency_.snapshot(); }
    /// For the guard of a claim on that host (placement.h, check_claim): what the snapshot alone says, held claims left
    /// out.
    [[nodiscard]] Basis basis_of(const HostId& host, const VmSpec& spec) const;

  private:
    using Slot = Residency::Slot;
    struct Class {
        PlacementRequest request;
        Surroundings around;  ///< without groups
        Tournament order;
        std::uint64_t seen = 0;   ///< changes of the journal that it has followed
        std::uint64_t epoch = 0;  ///< of what concerns every host
        std::uint64_t used = 0;   ///< when, for eviction
    };
    struct Search;

    void take(const Residency::Changes& changes);
    void count_again(Slot slot);
    void follow_redundancy(Slot slot);
    void look_through(Search& search, const std::vector<Slot>& own);
    Class& class_of(const PlacementRequest& request);
    void make_room();
    void rank_changed(Class& kind);
    void rank_slot(Class& kind, Slot slot);
    void consider(Search& search, Slot slot, const HostView& view) const;
    void consider_own(Search& search, Slot slot) const;
    [[nodiscard]] HostView view_without(Slot slot, const VmId& vm) const;
    [[nodiscard]] bool takes_part(Slot slot) const;

    Residency residency_;
    Preferences preferences_;
    std::optional<Redundancy> redundancy_;              // where the preferences ask for N+1
    std::vector<HostView> views_;                       // by slot
    std::vector<std::shared_ptr<const Host>> counted_;  // by slot: as it is counted in places_
    Groups places_;                                     // hosts and zones that accept work
    std::vector<std::uint64_t> hashes_;                 // by slot, of the host's id
    std::vector<std::uint64_t> changed_at_;             // by slot: the last of its entries in the journal
    std::vector<Slot> journal_;                         // slots in the order in which they changed
    std::uint64_t journal_begin_ = 1;                   // number of its first entry
    std::uint64_t epoch_ = 1;
    std::uint64_t asked_ = 0;
    std::unordered_multimap<std::size_t, Class> classes_;
};

}  // namespace ballast::scheduler
