#pragma once
// Steering: what the engine does to a migration while it pushes, within its terms. Looks at the rounds so far and at
// the job's latest figures; decides at most one thing at a time, with its reason in words. Pure and deterministic; it
// never ends or resumes a copy (that is ownership.h's), never acts outside the push phase, and never goes beyond the
// terms: no post-copy that they forbid, no downtime limit above theirs.
//
// A round makes progress if it leaves at least a tenth less than the best one before it. A migration whose last
// `window` rounds made none is stalled. A stalled one, or one that can't be done in the time it has, is, in this order:
//   given more downtime within the terms, where the limit in force is below and that is enough for what a round left,
//     in one step;
//   switched to post-copy, where that is allowed and was prepared, at the end of a round: that is where what is left to
//     pull is least (within a round, pages already sent are dirtied again, unseen); under a load that comes and goes it
//     waits, a few rounds at most, for one that leaves hardly more than the best one did;
//   left to auto-converge, as long as that has steps left below the terms' limit (libvirt 9.0 has no parameter for it,
//     so QEMU's throttle is watched: above the limit, the migration is switched or aborted; a last step of one or two
//     per cent that passes it is QEMU's rounding);
//   aborted, with the reason, after `patience` rounds without progress (6 where XBZRLE is all the help there is): the
//   VM
//     stays where it is.
// One that can't end in its time by any of these is aborted at once.
// QEMU's own downtime limit is never left at its default: see first_downtime_limit().

#include <cstdint>
#include <optional>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/migration.h"

namespace ballast::migration {

enum class SteeringAct : std::uint8_t { none, switch_to_post_copy, raise_downtime, abort };
BOOST_DESCRIBE_ENUM(SteeringAct, none, switch_to_post_copy, raise_downtime, abort)

struct Steering {
    SteeringAct act = SteeringAct::none;
    Milliseconds downtime{0};  ///< the limit to set, for raise_downtime
    std::string reason;        ///< in words; empty for none
    friend bool operator==(const Steering&, const Steering&) = default;
};

/// The job's figures at one moment (drivers::MigrationProgress has them).
struct PushSample {
    Milliseconds elapsed;  ///< since libvirt began
    Bytes remaining;
    Bytes total;
    BytesPerSecond throughput;
    std::int64_t dirty_pages_per_second = 0;
    Bytes page_size{4096};
    int round = 0;
    bool round_ended = false;  ///< this is the first sample of a new round; the row has the round that ended
    int throttle = 0;          ///< per cent of vCPU time that auto-converge takes now
    Bytes disk_remaining;      ///< of disks copied along: while there are some, memory's rounds say nothing
    std::optional<Milliseconds> downtime_limit;  ///< in force; nothing: the terms' own
};

struct SteerLimits {
    int window = 1;               ///< rounds without progress that make a stall
    double progress = 0.9;        ///< of the best round before: what a round must leave at most to make progress
    int wait_for_minimum = 3;     ///< rounds that a switch waits for a small remainder
    int patience = 30;            ///< rounds without progress before it is aborted
    Milliseconds switch_cost{0};  ///< fixed part of the downtime: device state, start of the target
    Milliseconds socket{0};       ///< socket_time() of this line
    double overrun = 1;           ///< PairHistory's
};

/// `can_switch`: the stream was opened for post-copy (machine.h). `now` is compared with the terms' deadline.
[[nodiscard]] Steering steer(const Migration& row, const PushSample& sample, bool can_switch, Timestamp now,
                             const SteerLimits& limits = {});

/// How long what the source's socket holds takes on the line: the last dirty set goes behind it, and QEMU's limit does
/// not know of it. Of the 4 MiB to which Linux lets a socket grow (net.ipv4.tcp_wmem) 1.65 MB were seen to be payload;
/// under a cap below the line it never fills beyond a slice of QEMU's rate limiter.
[[nodiscard]] Milliseconds socket_time(BytesPerSecond line, const std::optional<BytesPerSecond>& cap);

/// QEMU stops the guest once what is left fits its limit at the bandwidth it sees; what the socket holds, the device
/// state and the start of the target come on top. So the limit that is set at the start is the terms' downtime less
/// `socket` (but two fifths of it stay) and less `switch_cost`, of which a third is believed at most: a low start costs
/// rounds, and a large "fixed part" is mostly a last dirty set. What is left is divided by `overrun` (at least 1): the
/// bandwidth that QEMU sees is that of a burst, and last copies between these hosts took so much longer than it thought
/// (history.h). The forecast (forecast.h) and the machine take the same.
[[nodiscard]] Milliseconds first_downtime_limit(const MigrationTerms& terms, Milliseconds switch_cost,
                                                Milliseconds socket = Milliseconds{0}, double overrun = 1);
/// The highest to which a stall raises it: `switch_cost` is no longer believed.
[[nodiscard]] Milliseconds last_downtime_limit(const MigrationTerms& terms, Milliseconds socket = Milliseconds{0});

/// How long the source's socket takes to empty at this rate, if it is full, with a slice of QEMU's rate limiter. 0
/// where that is no more than 50 ms, or the rate is not known.
[[nodiscard]] Milliseconds time_to_empty_socket(BytesPerSecond line);

/// The cap on a pull: the terms' own; else, where the line is configured, a little less than it carries. A stream that
/// fills the line makes everything wait behind it: the hand-over that lets the guest go on, and each page it asks for.
[[nodiscard]] std::optional<BytesPerSecond> pull_bandwidth(const MigrationTerms& terms, BytesPerSecond line);

/// When the running phase will have moved everything, as far as the rounds and the latest figures tell.
struct EndForecast {
    bool converges = false;                ///< false: not as things are
    std::optional<Milliseconds> left;      ///< expected; nothing where it does not converge or nothing is known yet
    Milliseconds at_best{0};               ///< what is left, sent once
    std::optional<Milliseconds> downtime;  ///< expected length of the last copy
    friend bool operator==(const EndForecast&, const EndForecast&) = default;
};
BOOST_DESCRIBE_STRUCT(EndForecast, (), (converges, left, at_best, downtime))

[[nodiscard]] EndForecast forecast_end(const Migration& row, const PushSample& sample);

}  // namespace ballast::migration
