#pragma once
// What a simulated guest does with its memory: the programs want so much of it over time, the page cache fills what is
// left, the balloon takes from both, and what programs lack is on the guest's swap device. Sizes are bytes as doubles,
// as in precopy.h. The state after a step depends on the state before and the length of the step alone. Pure.

#include <cstdint>
#include <optional>

#include <boost/describe/enum.hpp>

#include "core/units.h"
#include "drivers/simulated/virtual_time.h"

namespace ballast::drivers::simulated {

/// step: another amount from one moment on, for a while or for good (a flash crowd).
enum class MemoryPattern : std::uint8_t { constant, diurnal, sawtooth, step };
BOOST_DESCRIBE_ENUM(MemoryPattern, constant, diurnal, sawtooth, step)

/// How the guest uses memory. Rates are of one guest, and bounded as by its disk and its kernel.
struct MemoryLoad {
    MemoryPattern pattern = MemoryPattern::constant;
    Bytes wants = {};                     ///< of its programs, the mean
    Bytes swing = {};                     ///< diurnal, saw-tooth: from wants - swing to wants + swing
    double peak_hour = 14;                ///< diurnal: when it is most, UTC
    Seconds period{24 * 3600};            ///< diurnal, saw-tooth
    Seconds phase{0};                     ///< how much earlier than others of its kind
    Bytes step_to = {};                   ///< step: what they want then
    Instant step_at = {};                 ///< step: from when on
    std::optional<Seconds> step_for{};    ///< step: none: for good
    std::optional<Seconds> step_every{};  ///< step: and again
    std::optional<Bytes> cache{};         ///< page cache that it would fill; none: all that it has
    Bytes swap = gibibytes(1);            ///< its own swap device
    Bytes overhead = mebibytes(100);      ///< of its QEMU beside the guest's memory
    BytesPerSecond inflate{mebibytes(200).count()};
    BytesPerSecond deflate{mebibytes(1'000).count()};
    BytesPerSecond touch{mebibytes(300).count()};  ///< new memory that programs fill
    BytesPerSecond disk{mebibytes(60).count()};    ///< swapped in or out
    BytesPerSecond reads{mebibytes(40).count()};   ///< page cache that it fills
    BytesPerSecond unshares{0};                    ///< of merged pages, written to
};

/// What its programs want at this moment.
[[nodiscard]] double wanted_memory(const MemoryLoad& load, Instant when);
/// When that is another amount than at `when`; Instant::max(): never. It changes all the time: `when` itself.
[[nodiscard]] Instant next_change(const MemoryLoad& load, Instant when);

struct GuestMemory {
    double maximum = 0;
    double balloon = 0;  ///< what the guest has
    double target = 0;   ///< of the balloon
    double wanted = 0;
    double anonymous = 0;  ///< of `wanted`, in memory
    double swapped = 0;    ///< of `wanted`, on its swap device
    double cache = 0;
    double held = 0;  ///< the host's pages behind it
    double swap_in = 0;
    double swap_out = 0;
    double major_faults = 0;
    double speed = 1;    ///< of its work: less while it waits for its swap device
    double dropped = 0;  ///< of `wanted`: its kernel ended programs for lack of memory
    int oom_kills = 0;
};

/// What it does with them is up to its driver and its definition.
struct GuestRules {
    bool follows = true;      ///< has a balloon driver that does what it is told
    bool reports = true;      ///< unused pages go back to the host
    bool autodeflate = true;  ///< takes memory out of the balloon rather than run out of it
};

/// The guest `seconds` later, with `wanted` of its programs now. Whether it is on its way: the next step would change
/// it although they want the same.
bool advance(GuestMemory& guest, const MemoryLoad& load, double wanted, double seconds, const GuestRules& rules);

}  // namespace ballast::drivers::simulated
