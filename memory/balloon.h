#pragma once
// Balloon targets of one host's VMs. Decides sizes; sets nothing. Pure and deterministic.
//
// What each VM is entitled to comes from shares.h: at least its guaranteed minimum and, while the host is in no danger,
// its working set and a margin; at most its maximum. All entitlements together fit the budget, so that guests that all
// take what they have at once still fit the host.
//
// Towards it: inflate in bounded steps, not within the dead band; deflate at once, those that lack memory first, then
// by what is missing, as far as the host really has free memory (SAFETY.md 12).
//
// What is given by need beyond what is surely there is lent: guests that let go of their memory a moment ago have it
// still, and may fill it again before it is taken from them. So no more is lent than leaves the host above `critical`
// if they do, and what is lent is taken back in haste.

#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/units.h"
#include "memory/budget.h"
#include "memory/policy.h"

namespace ballast::memory {

/// A VM whose balloon may be moved now.
struct BalloonVm {
    VmId id;
    Bytes balloon;
    Bytes maximum;
    Bytes minimum;
    Bytes working_set;
    Bytes programs = {};  ///< of the working set: what holds no page cache, now
    double shares = 1000;
    bool lacks = false;
    const Policy* policy = nullptr;  ///< never null
};

/// The host's side.
struct BalloonTerms {
    Bytes budget;          ///< what these VMs may have together
    Gift may_give;         ///< what is physically free above what must stay free
    Bytes owed = {};       ///< lent by earlier passes and not taken back yet: BalloonPlan::owed
    bool awaited = false;  ///< somebody waits for what is taken: in haste
    bool danger = false;   ///< then working sets may be squeezed, down to the minimums
    bool plenty = false;   ///< nothing is short: policies that do not act ahead of need inflate nothing
};

enum class BalloonCause : std::uint8_t {
    need,      ///< deflate: it has less than its working set and margin
    entitled,  ///< deflate: there is room for more
    idle,      ///< inflate: taxed for what it does not use
    danger     ///< inflate: the host is short
};
BOOST_DESCRIBE_ENUM(BalloonCause, need, entitled, idle, danger)

struct BalloonMove {
    VmId vm;
    Bytes from;
    Bytes to;
    Bytes entitled;
    BalloonCause cause = BalloonCause::entitled;
    std::string why;
    friend bool operator==(const BalloonMove&, const BalloonMove&) = default;
};
BOOST_DESCRIBE_STRUCT(BalloonMove, (), (vm, from, to, entitled, cause, why))

struct BalloonPlan {
    std::vector<Bytes> entitled;     ///< in the order of the VMs
    std::vector<BalloonMove> moves;  ///< deflations first, in the order of need
    Bytes unmet;                     ///< missing to working sets and margins after all moves
    Bytes owed;                      ///< what is lent after all moves: balloons beyond the budget, given by need
};

[[nodiscard]] BalloonPlan plan_balloons(std::span<const BalloonVm> vms, const BalloonTerms& terms);

/// What it needs to run well: its working set and a margin, at least its minimum, at most its maximum. A minimum above
/// the maximum counts as the maximum.
[[nodiscard]] Bytes comfortable_size(const BalloonVm& vm);

/// The size to which a VM is shrunk before a pre-copy move, so that less must be sent; its present size where that does
/// not pay. Shrinking lasts freed / follow_rate; it saves (freed - not_sent) / bandwidth, where `not_sent` would not be
/// sent anyway (free pages that the guest has reported).
[[nodiscard]] Bytes size_before_move(const BalloonVm& vm, Bytes not_sent, BytesPerSecond bandwidth,
                                     BytesPerSecond follow_rate);

}  // namespace ballast::memory
