#include "daemon/overcommit/overhead.h"

#include <algorithm>
#include <utility>

namespace ballast::overcommit {
namespace {

Bytes smaller_known(Bytes a, Bytes b) {
    if (a.count() == 0 || b.count() == 0) return std::max(a, b);
    return std::min(a, b);
}

}  // namespace

OverheadMemo noted(OverheadMemo memo, const memory::GuestReading& reading, Timestamp now) {
    if (now - memo.since >= overhead_while || now < memo.since) {
        memo.bound_before = std::exchange(memo.bound, Bytes(0));
        memo.since = now;
    }
    const Bytes balloon = std::exchange(memo.balloon, reading.balloon);
    if (balloon.count() > 0 && balloon != reading.balloon) memo.moved = now;
    if (memo.moved != Timestamp() && reading.at <= memo.moved) return memo;
    if (!reading.unused || *reading.unused > reading.balloon) return memo;
    const Bytes held = reading.balloon - *reading.unused;
    if (reading.resident > held) memo.bound = smaller_known(memo.bound, reading.resident - held);
    return memo;
}

Bytes overhead_of(const OverheadMemo& memo, const memory::GuestReading& reading, Bytes usual) {
    const Bytes bound = smaller_known(memo.bound, memo.bound_before);
    const Bytes least = saturating_sub(reading.resident, reading.balloon);
    return std::min(std::max(bound.count() > 0 ? bound : usual, least), reading.resident);
}

}  // namespace ballast::overcommit
