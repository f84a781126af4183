#pragma once
// The forecast of a migration: what each of the four modes would cost between two hosts, before anything is started.
// Pure: a function of its input, which is stored with it, so that every forecast can be made again. It decides nothing
// (choose.h does) and never waits for a measurement: without a curve the ranges are wide.
//
// Model of pre-copy (Clark et al., NSDI 2005; QEMU 7.2's stop rule): round 1 sends M, round i+1 what was dirtied during
// round i; QEMU looks at the dirty bitmap again as soon as what is left fits B x D (B: bandwidth, bytes/s; D: downtime
// limit, s) and stops the guest if it then still does. Stop-and-copy: total = downtime = M / B. Post-copy (Hines and
// Gopalan, VEE 2009): one copy of memory, downtime of the device state, brown-out while pages are pulled. Hybrid:
// rounds, then post-copy. Ranges: the model again at the ends of its inputs. docs/MIGRATION.md explains it with
// measurements.

#include "core/snapshot.h"
#include "migration/curve.h"
#include "migration/history.h"

namespace ballast::migration {

enum class Convergence : std::uint8_t { yes, no, uncertain };
BOOST_DESCRIBE_ENUM(Convergence, yes, no, uncertain)

/// Everything a forecast depends on.
struct ForecastInput {
    HostId from;
    HostId to;
    Bytes memory;   ///< what the balloon leaves the guest: read by every mode, and the limit of a working set
    Bytes content;  ///< of it in use: not zero, so sent in full; 0: not known, then `memory`
    std::optional<DirtyCurve> curve;
    LinkEstimate link;
    PairHistory past;
    MigrationTerms terms;
    MigrationKnobs knobs;  ///< as asked for
    int hybrid_rounds = 1;
    std::string no_post_copy;     ///< why the pair cannot do post-copy (userfaultfd); empty: it can
    Bytes disks;                  ///< to be copied along, before memory
    double vcpu_use = 0;          ///< of the time of all its vCPUs, 0 to 1; 0: not known, then all of it
    std::optional<double> delta;  ///< of a page, as XBZRLE sent this VM's again; nothing: never tried
    Bytes cache_room;             ///< free on the source, for XBZRLE's cache; 0: it is not to be used
    Timestamp now;
    friend bool operator==(const ForecastInput&, const ForecastInput&) = default;
};
BOOST_DESCRIBE_STRUCT(ForecastInput, (),
                      (from, to, memory, content, curve, link, past, terms, knobs, hybrid_rounds, no_post_copy, disks,
                       vcpu_use, delta, cache_room, now))

struct RoundsRange {
    int low = 0;
    int likely = 0;
    int high = 0;
    friend bool operator==(const RoundsRange&, const RoundsRange&) = default;
};
BOOST_DESCRIBE_STRUCT(RoundsRange, (), (low, likely, high))

/// What one mode would cost under the policy.
struct ModeForecast {
    MigrationMode mode = MigrationMode::pre_copy;
    TimeRange total;  ///< from the call to the end, start-up of the target included
    TimeRange downtime;
    BytesRange bytes;
    TimeRange brown_out;  ///< time at reduced speed: throttled, or pulling pages
    RoundsRange rounds;
    Convergence converges = Convergence::yes;  ///< whether it ends by itself within the downtime limit
    MigrationKnobs knobs;                      ///< what it would be run with (pre-copy: the throttle it needs)
    bool feasible = true;                      ///< allowed, possible, and likely within the policy's limits
    std::string reason;                        ///< one sentence with numbers; where not feasible, the limit
    friend bool operator==(const ModeForecast&, const ModeForecast&) = default;
};
BOOST_DESCRIBE_STRUCT(ModeForecast, (),
                      (mode, total, downtime, bytes, brown_out, rounds, converges, knobs, feasible, reason))

/// What will be run, and why. Made by choose.h.
struct Choice {
    MigrationMode mode = MigrationMode::pre_copy;
    MigrationKnobs knobs;
    Milliseconds downtime_limit{300};                   ///< QEMU's, from the start
    std::optional<BytesPerSecond> bandwidth;            ///< QEMU's cap from the start; nothing: none
    std::optional<BytesPerSecond> post_copy_bandwidth;  ///< after a switch
    int hybrid_rounds = 1;                              ///< rounds before a planned switch
    std::vector<std::string> plan;                      ///< what the engine will do on its own if it must, in order
    std::string reason;                                 ///< one sentence with numbers
    std::vector<std::string> warnings;                  ///< what an explicit mode overrides
    friend bool operator==(const Choice&, const Choice&) = default;
};
BOOST_DESCRIBE_STRUCT(Choice, (),
                      (mode, knobs, downtime_limit, bandwidth, post_copy_bandwidth, hybrid_rounds, plan, reason,
                       warnings))

/// Stored as Migration::forecast.
struct Forecast {
    std::vector<ModeForecast> modes;  ///< one per MigrationMode, in its order
    ModeChoice requested = ModeChoice::auto_;
    std::optional<Choice> choice;
    std::string refusal;  ///< where there is no choice: forecast, limit and way out
    ForecastInput input;
    Timestamp made;
    friend bool operator==(const Forecast&, const Forecast&) = default;
};
BOOST_DESCRIBE_STRUCT(Forecast, (), (modes, requested, choice, refusal, input, made))

/// What the inventory knows about the move of a running VM. `in_use`: the guest's memory in use (balloon statistics),
/// or the resident size of its QEMU; 0: not known. `self`: the migration's job, where it has one. Policy, knobs and
/// curve are the caller's to add.
[[nodiscard]] ForecastInput input_for(const Snapshot& snapshot, const PairHistories& histories, const Vm& vm,
                                      const HostId& to, Bytes in_use, Timestamp now,
                                      const std::optional<JobId>& self = {});

/// The downtime limit that QEMU is given from the start: first_downtime_limit() (steer.h) at this pair's switch-over.
[[nodiscard]] Milliseconds downtime_limit_of(const ForecastInput& input);

/// Whether a pull of all of its memory lasts so long (2 s) that what the guest asks for waits noticeably behind the
/// stream: measured, it then stood for 2 s at 45 MiB/s though its downtime was 50 ms (docs/MIGRATION.md).
[[nodiscard]] bool pulls_slowly(const ForecastInput& input);

/// The four modes, one after the other.
[[nodiscard]] std::vector<ModeForecast> forecast_modes(const ForecastInput& input);
[[nodiscard]] ModeForecast forecast_mode(const ForecastInput& input, MigrationMode mode);

/// The forecast of that mode in a complete one.
[[nodiscard]] const ModeForecast& of_mode(const Forecast& forecast, MigrationMode mode);

/// While it runs: time left of a push or pull that has `remaining` to send at `throughput`, with `curve` and the terms
/// where it is a push. An estimate for progress displays.
[[nodiscard]] TimeRange time_left(const ForecastInput& input, MigrationMode mode, bool pulling, Bytes remaining,
                                  BytesPerSecond throughput);

}  // namespace ballast::migration
