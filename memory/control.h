#pragma once
// The memory controller of one host: one sweep in, decisions and the next state out. It composes the parts of this
// folder and decides; whoever calls it carries out and reads again. Pure and deterministic: the same sweep, state and
// time give the same decisions, so each can be replayed.
//
// With the policy `none` it watches: estimates, ledger, level and risk are made, and nothing is to be changed.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "memory/admission.h"
#include "memory/balloon.h"
#include "memory/correlation.h"
#include "memory/facts.h"
#include "memory/follow.h"
#include "memory/ksm.h"
#include "memory/ladder.h"
#include "memory/ledger.h"
#include "memory/sharing.h"
#include "memory/working_set.h"

namespace ballast::memory {

/// What is kept between sweeps. After a restart without it, targets are derived anew from the readings alone.
struct VmMemo {
    WorkingSetMemo working_set;
    FollowMemo follow;
    friend bool operator==(const VmMemo&, const VmMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(VmMemo, (), (working_set, follow))

struct HostMemo {
    std::map<VmId, VmMemo> vms;
    KsmMemo ksm;
    SharingMemo sharing;
    LadderMemo ladder;
    CorrelationMemo correlation;
    Bytes owed;  ///< lent beyond the budget (balloon.h): the next look must not wait for its turn
    friend bool operator==(const HostMemo&, const HostMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(HostMemo, (), (vms, ksm, sharing, ladder, correlation, owed))

struct ControlOptions {
    WorkingSetOptions working_set;
    FollowOptions follow;
    KsmOptions ksm;
    RiskModel risk;
    Milliseconds first_belief = usual_first_belief;  ///< what `risk` counts as, of a host that was never seen
};

/// One VM as the controller sees it.
struct VmView {
    VmId vm;
    WorkingSet working_set;
    std::string left_alone;  ///< why its balloon is not moved; empty: it may be
    friend bool operator==(const VmView&, const VmView&) = default;
};
BOOST_DESCRIBE_STRUCT(VmView, (), (vm, working_set, left_alone))

struct Decisions {
    Level level = Level::comfortable;
    bool level_changed = false;
    std::string level_why;
    std::vector<LadderAct> acts;
    std::vector<BalloonMove> balloons;
    Bytes unmet;  ///< missing to working sets and margins after all moves
    KsmDecision ksm;
    std::optional<VmId> suspend;  ///< to disk, the last resort
    Admission risk;               ///< of the VMs that are there
    bool admits = true;           ///< more VMs, as far as this host's level says
    Bytes start_room;             ///< a VM that fills so much as it boots brings nobody into danger
    Bytes start_room_made;        ///< the same once those that boot now are known and balloons took what is above needs
    HostLedger ledger;
    std::vector<VmView> vms;  ///< in the order of the sweep
    friend bool operator==(const Decisions&, const Decisions&) = default;
};
BOOST_DESCRIBE_STRUCT(Decisions, (),
                      (level, level_changed, level_why, acts, balloons, unmet, ksm, suspend, risk, admits, start_room,
                       start_room_made, ledger, vms))

struct Controlled {
    Decisions decisions;
    HostMemo next;
};

[[nodiscard]] Controlled control(const HostMemory& host, std::span<const VmMemory> vms, const HostMemo& before,
                                 MemoryPolicy policy, Timestamp now, const ControlOptions& options = {});

/// For decisions that are not carried out: what was to be set is neither waited for nor, when it is not so, taken for
/// somebody else's doing. What was learned stays.
void forget_what_was_asked(HostMemo& next, const HostMemo& before);

/// The fast path: whether a guest lacks memory since the last sweep, or something is lent that must be taken back, so
/// that the next one must not wait for its turn.
/// Cheap enough for each reading of the statistics.
[[nodiscard]] bool sweep_at_once(std::span<const VmMemory> vms, const HostMemo& before,
                                 const ControlOptions& options = {});

}  // namespace ballast::memory
