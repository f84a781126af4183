#pragma once
// Live migration's vocabulary: what a move may cost (policy), how it is carried out (knobs), and its record with
// forecast and outcome.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/json.h"
#include "core/units.h"

namespace ballast {

enum class MigrationMode : std::uint8_t { stop_and_copy, pre_copy, post_copy, hybrid };
BOOST_DESCRIBE_ENUM(MigrationMode, stop_and_copy, pre_copy, post_copy, hybrid)

/// What was asked for. `auto_`: the forecast chooses, under the policy. `offline`: only the definition of a VM that
/// does not run is moved.
enum class ModeChoice : std::uint8_t { auto_, stop_and_copy, pre_copy, post_copy, hybrid, offline };
BOOST_DESCRIBE_ENUM(ModeChoice, auto_, stop_and_copy, pre_copy, post_copy, hybrid, offline)

/// What a move may cost. Every field may be left open; the request's word counts before the VM's, the VM's before its
/// label's, and that before the daemon's configuration.
struct MigrationPolicy {
    std::optional<Milliseconds> max_downtime;
    std::optional<Milliseconds> max_total;  ///< from its start; a move that is forecast to take longer is refused
    /// Whether it may switch to post-copy. The risk: while memory is pulled, a failure of either host or of the link
    /// for good loses the VM's running state (SAFETY.md 4).
    std::optional<bool> post_copy;
    std::optional<BytesPerSecond> bandwidth;            ///< cap before a switch
    std::optional<BytesPerSecond> post_copy_bandwidth;  ///< cap after it: QEMU's other one does not hold there
    std::optional<int> max_throttle;  ///< per cent of vCPU time that auto-converge may take, 0 (never) to 99
    std::optional<int> priority;      ///< -100 to 100, higher first
    friend bool operator==(const MigrationPolicy&, const MigrationPolicy&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationPolicy, (),
                      (max_downtime, max_total, post_copy, bandwidth, post_copy_bandwidth, max_throttle, priority))

/// Errors: invalid_argument naming the field under `path`, the limit and the way out.
[[nodiscard]] Result<void> check(const MigrationPolicy& policy, std::string_view path);

/// A policy with nothing left open.
struct MigrationTerms {
    Milliseconds max_downtime{300};
    std::optional<Milliseconds> max_total;
    std::optional<Timestamp> deadline;  ///< when it must have ended
    bool post_copy = false;
    std::optional<BytesPerSecond> bandwidth;
    std::optional<BytesPerSecond> post_copy_bandwidth;
    int max_throttle = 90;
    int priority = 0;
    friend bool operator==(const MigrationTerms&, const MigrationTerms&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationTerms, (),
                      (max_downtime, max_total, deadline, post_copy, bandwidth, post_copy_bandwidth, max_throttle,
                       priority))

enum class DiskCopy : std::uint8_t { none, full, incremental };
BOOST_DESCRIBE_ENUM(DiskCopy, none, full, incremental)

/// How QEMU carries it out. migration/compatibility.h says which of these go together.
struct MigrationKnobs {
    bool auto_converge = false;
    int throttle_initial = 0;    ///< per cent, 0: QEMU's default (20)
    int throttle_increment = 0;  ///< per cent, 0: QEMU's default (10)
    bool xbzrle = false;
    std::optional<Bytes> xbzrle_cache;
    int parallel = 0;  ///< connections (multifd), 0: one stream without it
    bool tls = false;  ///< QEMU's native TLS for the stream
    DiskCopy copy_disks = DiskCopy::none;
    friend bool operator==(const MigrationKnobs&, const MigrationKnobs&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationKnobs, (),
                      (auto_converge, throttle_initial, throttle_increment, xbzrle, xbzrle_cache, parallel, tls,
                       copy_disks))

/// Phases as the literature names them (Clark et al., NSDI 2005; Hines and Gopalan, VEE 2009), and those of the
/// protocol around them.
enum class MigrationPhase : std::uint8_t {
    claimed,
    preparing,
    setup,
    push,
    stop_and_copy,
    pull,
    pull_paused,
    verifying,
    finishing,
    succeeded,
    failed,
    cancelled
};
BOOST_DESCRIBE_ENUM(MigrationPhase, claimed, preparing, setup, push, stop_and_copy, pull, pull_paused, verifying,
                    finishing, succeeded, failed, cancelled)

struct MigrationRound {
    int round = 0;
    Milliseconds at;  ///< since the start
    Bytes sent;       ///< in total
    Bytes remaining;
    BytesPerSecond throughput;
    std::int64_t dirty_pages_per_second = 0;
    friend bool operator==(const MigrationRound&, const MigrationRound&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationRound, (), (round, at, sent, remaining, throughput, dirty_pages_per_second))

/// What the engine or an operator did while it ran.
struct MigrationIntervention {
    Milliseconds at;   ///< since the start
    std::string what;  ///< switch_to_post_copy, raise_downtime, finish_now, throttle, set_bandwidth, abort, resume, …
    std::string why;
    std::string actor;  ///< token name, or "ballast"
    friend bool operator==(const MigrationIntervention&, const MigrationIntervention&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationIntervention, (), (at, what, why, actor))

/// What XBZRLE made of pages that were sent again: the difference to what was sent before, where its cache still had
/// that.
struct MigrationCompression {
    std::int64_t pages = 0;      ///< sent as a difference
    Bytes sent;                  ///< what those differences took on the wire
    std::int64_t misses = 0;     ///< not in the cache: sent in full
    std::int64_t overflows = 0;  ///< in the cache, but so different that they were sent in full
    friend bool operator==(const MigrationCompression&, const MigrationCompression&) = default;
};
BOOST_DESCRIBE_STRUCT(MigrationCompression, (), (pages, sent, misses, overflows))

/// One migration, for its history: the job holds the journal, this holds the record.
struct Migration {
    JobId id;  ///< the job's
    VmId vm;
    HostId from;
    HostId to;
    MigrationMode mode = MigrationMode::pre_copy;
    ModeChoice requested = ModeChoice::auto_;
    std::string reason;  ///< why this mode
    MigrationTerms terms;
    MigrationKnobs knobs;
    MigrationPhase phase = MigrationPhase::claimed;
    std::string phase_reason;
    bool paused = false;      ///< the guest was paused when it began, and stays so wherever it ends
    std::uint64_t epoch = 0;  ///< the epoch that the target owns with
    std::vector<MigrationRound> rounds;
    std::vector<MigrationIntervention> interventions;
    std::optional<Milliseconds> setup;  ///< from the call to the first bytes sent
    std::optional<Milliseconds> total;
    std::optional<Milliseconds> downtime;
    std::optional<Milliseconds> pull;  ///< from the switch to the end
    std::optional<Bytes> sent;
    std::optional<std::int64_t> post_copy_requests;
    int throttle = 0;                                 ///< highest seen, per cent
    std::optional<MigrationCompression> compression;  ///< where XBZRLE was on
    Bytes memory;                                     ///< of the guest at its start: what its balloon leaves it
    JsonText forecast;                                ///< migration::Forecast, as it was before the start
    Timestamp started;                                ///< claimed
    std::optional<Timestamp> called;                  ///< the hypervisor began
    std::optional<Timestamp> finished;
    std::uint64_t revision = 0;
    friend bool operator==(const Migration&, const Migration&) = default;
};
BOOST_DESCRIBE_STRUCT(Migration, (),
                      (id, vm, from, to, mode, requested, reason, terms, knobs, phase, phase_reason, paused, epoch,
                       rounds, interventions, setup, total, downtime, pull, sent, post_copy_requests, throttle,
                       compression, memory, forecast, started, called, finished, revision))

}  // namespace ballast
