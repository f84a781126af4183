#pragma once
// Whether a guest follows its balloon target, and whether somebody else moves it. One that sticks, or that somebody
// else moves, is left alone for a while and shown. Acts on nothing. Pure.

#include <string>

#include <boost/describe/class.hpp>

#include "core/units.h"

namespace ballast::memory {

struct FollowOptions {
    Milliseconds patience{60'000};   ///< for a part of the way
    double part = 0.25;              ///< of what was asked, within the patience
    int misses = 3;                  ///< in a row: it sticks
    int meddlings = 3;               ///< changes that nobody here asked for, each within an hour of the one before
    Milliseconds rest{10 * 60'000};  ///< before one that stuck is tried again
    Milliseconds stand_back{60 * 60'000};  ///< for somebody else
    Bytes slack = mebibytes(4);
};

/// What is kept of one VM's balloon between sweeps.
struct FollowMemo {
    Bytes asked;    ///< the last target; 0: none is open
    Bytes from;     ///< what it had when that was asked
    Timestamp at;   ///< when it was asked, or last given more time
    Bytes settled;  ///< what it had when it was last at rest; 0: not known
    int missed = 0;
    int meddled = 0;
    Timestamp meddled_at;
    Timestamp out_until;  ///< left alone until then
    std::string why;      ///< it is left alone
    friend bool operator==(const FollowMemo&, const FollowMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(FollowMemo, (), (asked, from, at, settled, missed, meddled, meddled_at, out_until, why))

/// With what the balloon is now.
[[nodiscard]] FollowMemo watched(FollowMemo memo, Bytes balloon, Timestamp now, const FollowOptions& options = {});
/// After a target was given.
[[nodiscard]] FollowMemo asked(FollowMemo memo, Bytes from, Bytes to, Timestamp now);
[[nodiscard]] bool left_alone(const FollowMemo& memo, Timestamp now);

}  // namespace ballast::memory
