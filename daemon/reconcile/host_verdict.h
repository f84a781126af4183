#pragma once
// The state of a host as a pure function of its row and of what its connection shows. Quarantine means: connected, but
// nothing is done there. Any thread.
//
// Order: removed; unreachable (trying again is no news, so it stays unreachable until it answers); connecting (also
// while its domains are being listed: a host is never called up before Ballast knows what it runs); quarantined; slow;
// maintenance; up.

#include <string>

#include "core/snapshot.h"
#include "drivers/types.h"

namespace ballast::reconcile {

/// What the connection shows.
struct HostSight {
    drivers::LinkState link = drivers::LinkState::connecting;
    std::string detail;      ///< why the link is as it is
    bool listed = false;     ///< facts, pools and domains were read since it was connected
    std::string quarantine;  ///< why nothing may be done there; empty: nothing speaks against it
};

struct HostVerdict {
    HostState state = HostState::connecting;
    std::string reason;
    friend bool operator==(const HostVerdict&, const HostVerdict&) = default;
};

[[nodiscard]] HostVerdict judge_host(const Host& row, const HostSight& sight);

/// Whether what the host runs can be asked in this state.
[[nodiscard]] bool can_be_asked(HostState state);

/// Why a host that was confirmed dead and is back must stay in quarantine: the VMs that it still runs and that belong
/// to another host now. Empty: it holds no active copy of those (SAFETY.md 3).
[[nodiscard]] std::string stale_copies(const Snapshot& snapshot, const Host& host);

/// Why a host is the same machine as one added before it; empty: it is not, or it names no UUID.
[[nodiscard]] std::string duplicate_of(const Snapshot& snapshot, const HostId& host, const HostFacts& facts);

/// The row after the verdict, with the event that says so; nullopt: nothing changed. A host that was confirmed dead and
/// came back without stale copies is no longer held dead.
struct HostChange {
    Host row;
    std::string kind;
    std::string message;
};
[[nodiscard]] std::optional<HostChange> change_host(const Snapshot& snapshot, const Host& row, HostSight sight,
                                                    Timestamp now);

}  // namespace ballast::reconcile
