#pragma once
// What past migrations between two hosts say about the next one: the bandwidth they got, the fixed costs (target
// start-up, switch-over), and by how much the forecast was off. Pure: made from a snapshot's rows in one pass, then
// looked up; it keeps no state of its own. Cheap enough to be made anew for every forecast.
//
// A pair without a past takes what its two hosts' other pairs say, then what all pairs say, then a plain assumption;
// each step down widens the range.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/snapshot.h"
#include "migration/curve.h"

namespace ballast::migration {

/// How far outcomes were from forecasts: actual = forecast x factor, `spread` its relative standard deviation.
struct Calibration {
    int samples = 0;
    double factor = 1;
    double spread = 0.15;
    friend bool operator==(const Calibration&, const Calibration&) = default;
};
BOOST_DESCRIBE_STRUCT(Calibration, (), (samples, factor, spread))

/// Of the downtimes, for each mode: they are made of different things.
struct ModeCalibrations {
    Calibration stop_and_copy;
    Calibration pre_copy;
    Calibration post_copy;
    Calibration hybrid;
    friend bool operator==(const ModeCalibrations&, const ModeCalibrations&) = default;
};
BOOST_DESCRIBE_STRUCT(ModeCalibrations, (), (stop_and_copy, pre_copy, post_copy, hybrid))

[[nodiscard]] Calibration& of_mode(ModeCalibrations& calibrations, MigrationMode mode);
[[nodiscard]] const Calibration& of_mode(const ModeCalibrations& calibrations, MigrationMode mode);

/// What the past says of one direction of one pair.
struct PairHistory {
    int samples = 0;                     ///< finished migrations of this very pair
    std::optional<RateRange> bandwidth;  ///< EWMA of what uncapped migrations got; nothing: none ran
    TimeRange setup;                     ///< from the call to the first byte: target start-up, connection
    TimeRange switch_over;               ///< the downtime that is not the last dirty set: device state, resume
    TimeRange switch_to_pull;            ///< the downtime of a switch to post-copy
    TimeRange finish;                    ///< from the last byte to the end: hand-over, clean-up
    Calibration total;
    Calibration bytes;
    ModeCalibrations downtime;
    double overrun = 1;  ///< 1 to 3: by how much last copies outlast the limit that QEMU was given, see steer.h
    friend bool operator==(const PairHistory&, const PairHistory&) = default;
};
BOOST_DESCRIBE_STRUCT(PairHistory, (),
                      (samples, bandwidth, setup, switch_over, switch_to_pull, finish, total, bytes, downtime, overrun))

/// How long a finished migration took, as its user saw it: from the call to the end, target start-up included. Nothing
/// where it did not succeed.
[[nodiscard]] std::optional<Milliseconds> wall_time(const Migration& migration);

class PairHistories {
  public:
    explicit PairHistories(const Snapshot& snapshot);
    [[nodiscard]] PairHistory of(const HostId& from, const HostId& to) const;

  private:
    std::map<std::pair<HostId, HostId>, PairHistory> pairs_;
    std::map<HostId, PairHistory> hosts_;
    PairHistory all_;
};

/// The overrun to count with: the past's; on a line that no configuration bounds, QEMU's figure is taken for that of a
/// burst (1.5) until some moves have shown what it is.
[[nodiscard]] double overrun_to_expect(const Snapshot& snapshot, const PairHistory& past, const HostId& from,
                                       const HostId& to);

/// What a migration may get between two hosts now.
struct LinkEstimate {
    RateRange bandwidth;  ///< its own fair share, before the policy's caps
    int sharing = 1;      ///< migrations that will be on the busier end's link, this one counted
    std::string source;   ///< "link speed of h1", "3 past migrations", "assumed"
    friend bool operator==(const LinkEstimate&, const LinkEstimate&) = default;
};
BOOST_DESCRIBE_STRUCT(LinkEstimate, (), (bandwidth, sharing, source))

/// Configured link speed first (the slower end; past migrations narrow it, what they got below it counts), then the
/// past, then an assumption; shared fairly among the migrations that run now on either host's link. `self` is not
/// counted twice.
[[nodiscard]] LinkEstimate estimate_link(const Snapshot& snapshot, const PairHistories& histories, const HostId& from,
                                         const HostId& to, const std::optional<JobId>& self = {});

}  // namespace ballast::migration
