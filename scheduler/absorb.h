#pragma once
// N+1: whether the VMs of any one host would find room on the others of its group if it failed. Decides that from
// numbers alone: memory and vCPUs that each VM needs, what each host has free, and which VMs may not share a host
// (their anti-affinity group). What else a rule would say of the new place (devices, storage, networks, labels) is not
// asked: hosts of one group are meant to be alike.
//
// For each host a witness is kept: a place for each of its VMs, found first-fit decreasing around the ring of its group
// (Johnson et al., SIAM J. Comput. 1974), which spreads what the witnesses use. A placement breaks at most the
// witnesses that use that host, so a check costs a few packings and not one per host. Where first-fit finds no packing,
// a search with backtracking is tried: "can be absorbed" is always true, "can't" is exact as long as the search ends
// within its limit (in practice up to a dozen VMs), and conservative beyond it. Hosts whose failure can't be absorbed
// are tried again after room was freed, a few with each question, so that a cluster that is full does not cost a
// packing per host each time.
//
// Bare numbers: the unit of memory is the caller's. Pure; a value.

#include <cstdint>
#include <optional>
#include <vector>

namespace ballast::scheduler {

class Absorber {
  public:
    using Index = std::uint32_t;

    /// One VM that would have to start elsewhere.
    struct Guest {
        std::int64_t memory = 0;
        std::int64_t vcpus = 0;
        std::uint64_t apart = 0;    ///< VMs of one number never share a host; 0: none
        std::int64_t squeezed = 0;  ///< so much less memory on a host that squeezes
        friend bool operator==(const Guest&, const Guest&) = default;
    };

    struct HostState {
        std::uint64_t group = 0;  ///< hosts absorb each other within a group
        bool takes = false;       ///< whether VMs may start there
        bool counts = false;      ///< whether its failure is to be absorbed
        std::int64_t free_memory = 0;
        std::int64_t free_vcpus = 0;
        std::vector<Guest> guests;
        bool squeezes = false;  ///< holds its guests with what is guaranteed to them
        friend bool operator==(const HostState&, const HostState&) = default;
    };

    /// Replaces what is known of a host. Hosts are numbered from 0.
    void set(Index host, HostState state);

    /// Whether the host's failure can be absorbed as things are.
    [[nodiscard]] bool absorbs(Index host);
    /// Every host that counts and whose failure can't be.
    [[nodiscard]] std::vector<Index> exposed();

    /// The first host whose failure could no longer be absorbed if this guest came to `host`: `host` itself, or another
    /// one that could be until now. None: the guest may come.
    [[nodiscard]] std::optional<Index> exposed_by(Index host, const Guest& guest);

  private:
    struct Entry {
        HostState state;
        std::vector<Index> targets;  ///< the witness: a place for each guest
        std::vector<Index> users;    ///< hosts whose witness may use this one; some may have stopped to
        bool known = false;          ///< `absorbed` holds, as long as nothing was freed since `tried`
        bool verify = false;         ///< a host of the witness has changed
        bool pending = false;        ///< in pending_
        bool listed = false;         ///< in unabsorbed_
        bool absorbed = false;
        std::uint64_t tried = 0;
        std::size_t ring = 0;
        std::size_t position = 0;
    };
    struct Ring {
        std::uint64_t group = 0;
        std::vector<Index> members;
        std::uint64_t freed = 0;  ///< how often room was freed in it
    };
    struct Packing;

    void join_ring(Index host, std::uint64_t group);
    void leave_ring(Index host);
    void renew(Index host);
    void refresh();
    void mark(Index host);
    [[nodiscard]] bool still_holds(const Entry& entry) const;
    void keep_witness(Index host, std::vector<Index> targets);
    [[nodiscard]] bool exposes_other(Index failed, Index host, const Guest& guest) const;

    std::vector<Entry> hosts_;
    std::vector<Ring> rings_;
    std::vector<Index> pending_;     // whose answer has to be found, or verified
    std::vector<Index> unabsorbed_;  // some may be absorbed by now
    std::size_t next_retry_ = 0;
};

}  // namespace ballast::scheduler
