#pragma once
// merge(): what the inventory says of one VM, after some hosts have said what they see. Pure: the whole of
// reconciliation's judgement is here and is tested as a table. It never corrects a host and never loses a managed VM.
//
// What it decides
//  - A UUID that is unknown becomes an observed VM: spec as the host has it, memory policy `none`, moves `ask`
//    (SAFETY.md 1). A stamp of this cluster on it is an observe-only alert: a restored backup, or a host that was
//    removed and added again.
//  - Definitions: one per host that was asked and has it. A host that can't be asked keeps its last word, marked
//    `stale_view`.
//  - Owner of a managed VM: the store's, as long as it defines the VM. It follows the truth only when the truth is
//    unambiguous and no job works on the VM: the one active copy is elsewhere, or the owner was asked and has none
//    while another host does. Each such change raises the epoch in the store. An observed VM's owner is simply where it
//    is.
//  - More than one active definition is `conflict`, unless it is a migration's pair (a running source, an incoming or
//    post-copy target). Readings of two hosts are never of one moment, so a conflict is believed only when `proven`
//    (the caller read A, B, A, each active); until then the row keeps its state and the result is `doubtful`.
//  - Last seen active on a host that can't be asked: `unknown` (SAFETY.md 3). "Can't be asked" is unreachable or
//    quarantined; a slow host or one in maintenance answers, so its VMs stay known. If that host is confirmed dead, its
//    copy counts no longer.
//  - All definitions gone: an observed VM leaves the inventory (vm.removed_outside); a managed one stays as `missing`
//    with an alert; while a job works on it, the job decides. Believed only when `searched`: a VM that was moved
//    outside is gone from one host before the other one was heard. Until then the row stays and the result is
//    `vanished`.
//  - A foreign cluster id, or an epoch above the store's: observe-only *alert*, not `managed = false` — the operator's
//    decision to manage the VM stands, and comes back by itself when the stamp does; submit refuses by the alert
//    (alerts.h).
//  - The definition of a VM that Ballast made differs from its spec: Ballast keeps its spec and raises an alert that
//    names the fields. The spec of an observed or adopted VM follows the host, because Ballast never rewrites it;
//    labels, moves, memory policy, autostart and anti-affinity are Ballast's own and stay.
//  - While a job works on the VM, its transitional states stay until the host shows their end, and owner and epoch are
//    the job's.
//
// What it never does: I/O, time, ids, writing. Any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/table.h"
#include "core/vm.h"
#include "drivers/types.h"

namespace ballast::reconcile {

/// What one host says of the VM.
struct HostSaid {
    enum class Kind : std::uint8_t {
        defined,      ///< asked: `view`
        absent,       ///< asked: it does not define the VM
        unreachable,  ///< can't be asked now
        removed       ///< the host left the inventory
    };
    HostId host;
    Kind kind = Kind::absent;
    std::optional<drivers::DomainView> view;
    Timestamp time;  ///< when it said so; unreachable: when it was last heard
};

struct MergeContext {
    std::string cluster;
    Timestamp now;
    const Table<Host>& hosts;  ///< names, and who is confirmed dead
    bool proven = false;       ///< several active copies were read in the order A, B, A
    bool searched = false;     ///< the hosts had time to say where it went
    bool host_is_new = false;  ///< the host is being listed for the first time since it was connected
};

/// What an event says (store::EventNote, without the store).
struct Note {
    std::string kind;
    std::string message;
    friend bool operator==(const Note&, const Note&) = default;
};

struct Merged {
    std::optional<Vm> row;    ///< nullopt: not in the inventory (any more)
    std::vector<Note> notes;  ///< empty: nothing changed
    bool doubtful = false;    ///< several active copies, not proven: read again
    bool vanished = false;    ///< defined nowhere, not searched: read again in a moment
};

[[nodiscard]] Merged merge(const std::optional<Vm>& row, const std::vector<HostSaid>& said,
                           const MergeContext& context);

/// The VM with its dead owner's claim on it taken away: stopped, without an owner, the epoch raised so that whatever
/// the dead host still holds is old (SAFETY.md 3, 7). The caller has `confirmed_dead` as its proof.
[[nodiscard]] Vm released(Vm vm, const HostId& dead, const std::string& reason, Timestamp now);

// Parts of it, apart for their tests.

/// The state of a VM whose only active (or only) copy is in this state.
[[nodiscard]] VmState state_of(DomainState domain);
/// Whether two active states are the two ends of one migration.
[[nodiscard]] bool is_migration_pair(DomainState a, DomainState b);
/// The fields in which the host's definition is not what the spec says: "vcpus 1 -> 2; …"; empty: none.
[[nodiscard]] std::string spec_difference(const VmSpec& spec, const VmSpec& on_host);
/// The host's spec with what is Ballast's own kept from `ours`.
[[nodiscard]] VmSpec follow_host(const VmSpec& ours, VmSpec on_host);
/// What changed between the two, as events. Empty for equal rows.
[[nodiscard]] std::vector<Note> describe_change(const std::optional<Vm>& before, const Vm& after,
                                                const MergeContext& context);

}  // namespace ballast::reconcile
