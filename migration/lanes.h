#pragma once
// Lanes: which of the queued migrations may start now, and when the others will. Decides the order and keeps every
// limit; starts nothing, reads no clock, knows no VM. Pure and deterministic.
//
// A link is one direction of a host's migration network: what leaves one host does not slow what arrives there.
//
// The order, in this sequence:
//  1. priority, higher first; each `patience` of waiting counts as one priority more, so nobody starves: a move is at
//     worst passed by those that were asked for within (priorities between them + 1) x patience after it;
//  2. with a deadline before without, the earliest first (EDF);
//  3. the host with the most left to send or receive first (it is what decides when all is done), in steps of a
//  twentieth
//     where the other end has little to do;
//  4. the shorter first (mean completion), then the older, then by id.
// A move of lower rank may use a lane that one of higher priority waits for only if it is expected to be done by the
// time that one's other lane is free.
//
// One move at a time on a link is the default: k moves side by side on one link of bandwidth B all end when the last
// one would have ended anyway, so serial wins for the mean, and each round of a pre-copy grows as its share of B
// shrinks. A move whose other end is slower leaves a part of a link unused; others may use that part.

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/ids.h"
#include "core/units.h"

namespace ballast::migration {

struct LaneLimits {
    int per_host_out = 2;  ///< moves that leave one host at a time
    int per_host_in = 2;   ///< moves that arrive at one host at a time
    int per_link = 1;      ///< moves that compete for one link; more only on what these leave unused
    int cluster = 0;       ///< moves in all; 0: no limit
    Milliseconds patience{15 * 60'000};
    friend bool operator==(const LaneLimits&, const LaneLimits&) = default;
};
BOOST_DESCRIBE_STRUCT(LaneLimits, (), (per_host_out, per_host_in, per_link, cluster, patience))

/// Of each host's migration network, per direction.
struct LinkSpeeds {
    BytesPerSecond fallback{125'000'000};  ///< of hosts that are not named: 1 Gbit/s
    std::map<HostId, BytesPerSecond> hosts;
    std::map<HostId, std::string> names;  ///< for the words of a plan; a host without one is called by its id

    [[nodiscard]] BytesPerSecond of(const HostId& host) const;
    [[nodiscard]] std::string name_of(const HostId& host) const;
};

struct QueuedMove {
    JobId id;
    HostId from;
    HostId to;  ///< empty: not chosen yet; then only the source's lanes are looked at
    int priority = 0;
    std::optional<Timestamp> deadline;
    Bytes bytes;            ///< expected on the wire
    Milliseconds duration;  ///< expected, alone on its link, with all fixed costs
    Timestamp asked;
};

struct RunningMove {
    JobId id;
    HostId from;
    HostId to;
    Bytes remaining;
    Milliseconds left;  ///< expected
};

/// What is expected of one queued move.
struct MoveEta {
    JobId id;
    Timestamp start;
    Timestamp end;
    bool now = false;   ///< may start now
    bool late = false;  ///< would end after its deadline
    std::string waits;  ///< for what, in words; empty: it may start
    friend bool operator==(const MoveEta&, const MoveEta&) = default;
};
BOOST_DESCRIBE_STRUCT(MoveEta, (), (id, start, end, now, late, waits))

struct LanePlan {
    std::vector<JobId> start;    ///< may start now, first one first
    std::vector<MoveEta> queue;  ///< every queued move, by expected start
    Timestamp done;              ///< when the last of all, running ones too, is expected to have ended
    Milliseconds bound;          ///< no order can be done sooner: the busiest link's bytes / its speed
};

[[nodiscard]] LanePlan plan_lanes(std::span<const RunningMove> running, std::span<const QueuedMove> queued,
                                  const LaneLimits& limits, const LinkSpeeds& speeds, Timestamp now);

/// The first part of the plan alone: which may start now. Cheap enough for each change.
[[nodiscard]] std::vector<JobId> startable(std::span<const RunningMove> running, std::span<const QueuedMove> queued,
                                           const LaneLimits& limits, const LinkSpeeds& speeds, Timestamp now);

}  // namespace ballast::migration
