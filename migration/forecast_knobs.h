#pragma once
// What pre-copy is given where it may not end by itself: less of the guest's CPU time (auto-converge), or differences
// instead of whole pages (XBZRLE). Pure, and not for other modules.
//
// A throttle slows the guest; XBZRLE costs the source memory and CPU time, and helps only where little of a page
// changes, which nobody knows before it was tried. So: XBZRLE where this VM's last move with it shows that it suffices;
// else a throttle that suffices; else both, where they do. A VM with which XBZRLE was never tried is tried, if nothing
// else is left: its move ends early where it does not help (steer.h), and the next forecast knows.

#include "migration/forecast.h"

namespace ballast::migration {

/// `by_itself`: whether it ends without any of it. What was asked for is kept.
[[nodiscard]] MigrationKnobs knobs_for_pre_copy(const ForecastInput& input, Convergence by_itself);

/// Whether it ends with these knobs, as far as can be said: one that is tried for the first time gets the benefit of
/// the doubt.
[[nodiscard]] bool may_end(const ForecastInput& input, const MigrationKnobs& knobs);

/// Per cent that QEMU takes at most.
inline constexpr int qemus_most_throttle = 99;

}  // namespace ballast::migration
