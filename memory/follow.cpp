#include "memory/follow.h"

#include <fmt/format.h>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

bool apart(Bytes a, Bytes b, Bytes slack) {
    return (a > b ? a - b : b - a) > slack;
}

/// It went a part of the way towards its target, or is there.
bool followed(const FollowMemo& memo, Bytes balloon, const FollowOptions& options) {
    if (!apart(balloon, memo.asked, options.slack)) return true;
    return as_double(balloon - memo.from) / as_double(memo.asked - memo.from) >= options.part;
}

/// It went the other way: nobody here asked for that.
bool went_away(const FollowMemo& memo, Bytes balloon, const FollowOptions& options) {
    return memo.from > Bytes(0) && apart(balloon, memo.from, options.slack) &&
           (balloon > memo.from) != (memo.asked > memo.from);
}

FollowMemo missed(FollowMemo memo, Bytes balloon, Timestamp now, const FollowOptions& options) {
    memo.at = now;
    ++memo.missed;
    if (memo.missed < options.misses) return memo;
    memo.why = fmt::format("its balloon sticks at {}, {} was asked", balloon, memo.asked);
    memo.out_until = now + options.rest;
    memo.asked = Bytes(0);
    memo.settled = balloon;
    memo.missed = options.misses - 1;  // after the rest it has one more chance
    return memo;
}

FollowMemo meddled(FollowMemo memo, Bytes balloon, Timestamp now, const FollowOptions& options) {
    const bool lately = memo.meddled > 0 && between(memo.meddled_at, now) <= options.stand_back;
    memo.meddled = lately ? memo.meddled + 1 : 1;
    memo.meddled_at = now;
    memo.settled = balloon;
    if (memo.meddled < options.meddlings) return memo;
    memo.why = fmt::format("somebody else moves its balloon, now to {}", balloon);
    memo.out_until = now + options.stand_back;
    return memo;
}

}  // namespace

FollowMemo watched(FollowMemo memo, Bytes balloon, Timestamp now, const FollowOptions& options) {
    if (!memo.why.empty() && !left_alone(memo, now)) memo.why.clear();
    if (memo.asked == Bytes(0)) {
        if (memo.settled > Bytes(0) && apart(balloon, memo.settled, options.slack))
            return meddled(std::move(memo), balloon, now, options);
        memo.settled = balloon;
        return memo;
    }
    if (went_away(memo, balloon, options)) {
        memo.asked = Bytes(0);
        return meddled(std::move(memo), balloon, now, options);
    }
    if (followed(memo, balloon, options)) {
        memo.missed = 0;
        memo.from = balloon;
        memo.at = now;
        if (apart(balloon, memo.asked, options.slack)) return memo;  // on its way
        memo.asked = Bytes(0);
        memo.settled = balloon;
        return memo;
    }
    if (between(memo.at, now) > options.patience) return missed(std::move(memo), balloon, now, options);
    return memo;
}

FollowMemo asked(FollowMemo memo, Bytes from, Bytes to, Timestamp now) {
    const bool goes_on = memo.asked > Bytes(0) && (memo.asked < memo.from) == (to < from);
    memo.asked = to;
    if (goes_on) return memo;  // asking a little more or less gives it no more time
    memo.from = from;
    memo.at = now;
    return memo;
}

bool left_alone(const FollowMemo& memo, Timestamp now) {
    return now < memo.out_until;
}

}  // namespace ballast::memory
