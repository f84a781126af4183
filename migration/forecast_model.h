#pragma once
// The arithmetic behind forecast.h, in doubles: bytes, bytes/s, seconds. A pre-copy is walked round by round as
// QEMU 7.2 does it. Pure, and not for other modules.

#include "migration/curve_model.h"

namespace ballast::migration::model {

/// QEMU's auto-converge: at the end of a round of a second or more that dirtied over half of what it sent, for the
/// second time: first `initial`, then `increment` more, each a share of the vCPUs' time.
struct Throttle {
    bool on = false;
    double initial = 0.2;
    double increment = 0.1;
    double most = 0.99;
};

struct PreCopy {
    double content = 0;    ///< bytes of the first round
    double bandwidth = 0;  ///< of the rounds
    double line = 0;       ///< of the last part: QEMU lifts its cap for it
    double downtime_limit = 0;
    Load load;
    Throttle throttle;
    double resent = 1;  ///< of a page, as XBZRLE sends it again; its cache is filled by the second round
    int rounds = 0;     ///< it is stopped after so many; 0: it goes on until it ends
};

struct PreCopyResult {
    bool ends = false;   ///< what is left fits the downtime limit
    double seconds = 0;  ///< until the guest is stopped; `horizon` where it does not end
    double sent = 0;
    double left = 0;  ///< still dirty then
    double last = 0;  ///< bytes on the wire for that
    int rounds = 0;
    double throttled = 0;  ///< seconds under a throttle
};

/// What is called "never": longer than this is not told apart.
inline constexpr double horizon = 3600;

[[nodiscard]] PreCopyResult walk(const PreCopy& input);

}  // namespace ballast::migration::model
