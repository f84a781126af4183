#pragma once
// What a QEMU process takes beside its guest's memory, measured from what the host and the guest say: resident memory
// less what the guest can hold. Pure.
//
// At any moment  resident - balloon <= overhead <= resident - (balloon - unused):  a guest's unused pages may be
// resident or not (never touched, or reported free). The least upper bound of a while is near the truth, as guests fill
// their memory or report what is free; a translation cache grows, so a bound counts for a while only.

#include <boost/describe/class.hpp>

#include "memory/facts.h"

namespace ballast::overcommit {

struct OverheadMemo {
    Bytes bound;         ///< the least upper bound of this while; 0: none yet
    Bytes bound_before;  ///< of the while before
    Timestamp since;     ///< when this while began
    Bytes balloon;       ///< at the last look
    Timestamp moved;     ///< when it was seen to be another
    friend bool operator==(const OverheadMemo&, const OverheadMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(OverheadMemo, (), (bound, bound_before, since, balloon, moved))

inline constexpr Milliseconds overhead_while{10 * 60'000};

/// The guest speaks of its unused memory every few seconds, its host of the balloon at once: while that moves the two
/// do not belong together, and say nothing.
[[nodiscard]] OverheadMemo noted(OverheadMemo memo, const memory::GuestReading& reading, Timestamp now);
/// `usual`: of a VM of which nothing was measured yet.
[[nodiscard]] Bytes overhead_of(const OverheadMemo& memo, const memory::GuestReading& reading, Bytes usual);

}  // namespace ballast::overcommit
