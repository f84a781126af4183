#pragma once
// The dirty-page curve of a guest: how many different bytes it dirties within a time, fitted to a few coarse samples
// and to the rounds of its own migrations. Pure; it measures nothing and keeps nothing. What is not known shows as a
// wide range, never as a guess without one.
//
// Model: a writable working set that saturates (Clark et al., NSDI 2005, section 4: the "writable working set"), not a
// constant rate. A guest that writes lambda bytes/s into W bytes has after t seconds dirtied
//     D(t) = W (1 - exp(-lambda t / W))      where the writes fall anywhere in W (random order), or
//     D(t) = min(lambda t, W)                where they go round in it (sequential).
// Where the samples demand it, a slower second set is added: D(t) = D_fast(t) + D_slow(t) (90 % of the writes in 10 %
// of the pages is two sets). Units: bytes, bytes/s, seconds. docs/MIGRATION.md has the picture.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/migration.h"
#include "core/units.h"

namespace ballast::migration {

/// low <= likely <= high: about 80 % of outcomes fall inside.
struct TimeRange {
    Milliseconds low{0};
    Milliseconds likely{0};
    Milliseconds high{0};
    friend bool operator==(const TimeRange&, const TimeRange&) = default;
};
BOOST_DESCRIBE_STRUCT(TimeRange, (), (low, likely, high))

struct BytesRange {
    Bytes low;
    Bytes likely;
    Bytes high;
    friend bool operator==(const BytesRange&, const BytesRange&) = default;
};
BOOST_DESCRIBE_STRUCT(BytesRange, (), (low, likely, high))

struct RateRange {
    BytesPerSecond low;
    BytesPerSecond likely;
    BytesPerSecond high;
    friend bool operator==(const RateRange&, const RateRange&) = default;
};
BOOST_DESCRIBE_STRUCT(RateRange, (), (low, likely, high))

/// One sample of the curve. `error`: one standard deviation.
struct CurvePoint {
    Milliseconds window{0};
    Bytes dirtied;
    Bytes error;
    friend bool operator==(const CurvePoint&, const CurvePoint&) = default;
};
BOOST_DESCRIBE_STRUCT(CurvePoint, (), (window, dirtied, error))

/// In which order the guest writes in its working set. It decides two things: how sharp the curve bends, and whether
/// pages that are dirtied again are those still to be sent anyway (random) or others (sequential).
enum class WriteOrder : std::uint8_t { unknown, random, sequential };
BOOST_DESCRIBE_ENUM(WriteOrder, unknown, random, sequential)

struct DirtyCurve {
    std::vector<CurvePoint> points;
    RateRange rate;          ///< lambda: bytes written per second into the fast set; the slope at 0
    BytesRange working_set;  ///< W of the fast set
    BytesPerSecond slow_rate;
    Bytes slow_set;  ///< 0: there is no second set
    WriteOrder order = WriteOrder::unknown;
    Timestamp measured;
    std::string source;  ///< "samples", "rounds", "samples and rounds", "nothing"
    friend bool operator==(const DirtyCurve&, const DirtyCurve&) = default;
};
BOOST_DESCRIBE_STRUCT(DirtyCurve, (), (points, rate, working_set, slow_rate, slow_set, order, measured, source))

/// A sample as the hypervisor gives it: `rate` over `window`, of a guest with `memory`. QEMU looks at 512 pages per GiB
/// (at least one), so the error is that of a binomial sample, and the answer's own step (`resolution`, bytes).
[[nodiscard]] CurvePoint sample_point(Milliseconds window, BytesPerSecond rate, Bytes resolution, Bytes memory);

/// Weighted least squares over the samples, robust against one that is off (Huber), over a grid of (lambda, W); the
/// ranges are what the samples leave possible. Nothing where there is no sample. `memory`: what the guest has, the
/// limit of W.
[[nodiscard]] std::optional<DirtyCurve> fit(std::vector<CurvePoint> points, Bytes memory, Timestamp measured);

/// Of a guest that nobody has measured: a twentieth of its memory (nothing to half of it) at an ordinary rate, in a
/// wide range.
[[nodiscard]] DirtyCurve unmeasured(Bytes memory, Timestamp now);

enum class Bound : std::uint8_t { low, likely, high };

/// Different bytes dirtied within `time`.
[[nodiscard]] Bytes dirtied_within(const DirtyCurve& curve, Milliseconds time, Bound bound = Bound::likely);

/// The samples that a migration's rounds are: what was dirty at the end of round i was dirtied during it, so these say
/// what no window of a second can. Rounds under a throttle are left out.
[[nodiscard]] std::vector<CurvePoint> points_of_rounds(const Migration& migration);

/// The curve with new samples in it. What was known stays, a little less exact with its age; of about the same window
/// the four most exact count, newer ones before older ones. So a curve grows better with each look, and a load that has
/// changed is followed after a few. Without `curve`, from the samples alone; without samples, `curve` as it was.
[[nodiscard]] std::optional<DirtyCurve> updated_by_samples(const std::optional<DirtyCurve>& curve,
                                                           const std::vector<CurvePoint>& samples, Bytes memory,
                                                           Timestamp now);

/// The same with the rounds of a migration that has ended.
[[nodiscard]] std::optional<DirtyCurve> updated_by_rounds(const std::optional<DirtyCurve>& curve,
                                                          const Migration& migration);

}  // namespace ballast::migration
