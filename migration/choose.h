#pragma once
// The choice of the mode and of how it is run, from the forecast and the policy. Pure. Never starts or waits for
// anything, never exceeds the policy on its own: an explicit mode is kept, with a warning where the forecast says that
// it will break a limit.
//
// `auto`: post-copy only where the policy allows it; of the modes that meet the downtime limit, the deadline and
// max_total the one with the least total time, then the shortest brown-out; stop-and-copy only if its whole length fits
// the downtime limit. Differences below max(10 %, 200 ms) count as none, and then pre-copy is kept: it risks nothing.
// Where pulling all of memory would last over 2 s, hybrid is preferred to post-copy while it takes at most 1.3 times as
// long: the guest then waits for fewer pages.
// Pre-copy that needs a throttle gets the needed one at once, not QEMU's ramp of 20 % and 10 % steps; where no throttle
// is sure to do, XBZRLE (forecast_knobs.h).
// Without a curve: pre-copy, and the engine adapts. A pre-copy that ends by itself is never refused for its downtime
// alone: it runs, with a warning.

#include "core/error.h"
#include "migration/forecast.h"

namespace ballast::migration {

/// Errors: failed_precondition where `auto` finds no mode within the policy; it names the forecast, the limit and the
/// way out. An explicit mode is refused here only where it needs post-copy and the policy or the pair forbids it; what
/// else it breaks is a warning.
[[nodiscard]] Result<Choice> choose(const ForecastInput& input, const std::vector<ModeForecast>& modes,
                                    ModeChoice requested);

/// Forecast and choice in one: what `--dry-run` shows and what is stored. Never fails: see `refusal`.
[[nodiscard]] Forecast decide(const ForecastInput& input, ModeChoice requested);

/// The choice, or the refusal as failed_precondition.
[[nodiscard]] Result<Choice> choice_of(const Forecast& forecast);

/// The throttle (per cent, 0 to 99) with which pre-copy ends at this bandwidth; nothing where none does.
[[nodiscard]] std::optional<int> needed_throttle(const ForecastInput& input);

}  // namespace ballast::migration
