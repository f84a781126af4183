#include "migration/forecast_knobs.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "migration/choose.h"
#include "migration/forecast_cost.h"

namespace ballast::migration {
namespace {

/// QEMU raises the throttle on its own and knows no limit but its own (libvirt 9.0 has no parameter for one). A move
/// that passes the policy's limit is ended: so steps are left below it, and they land on it.
constexpr int steps_below = 2;
constexpr int largest_step = 5;

/// The hardest first step that leaves QEMU its steps below the limit; where the limit is QEMU's own, none are needed.
int hardest_initial(int limit) {
    return limit >= qemus_most_throttle ? qemus_most_throttle : std::max(limit - steps_below, 1);
}

/// `initial`, or a little more: so that equal steps from there land on `limit`, and none passes it.
MigrationKnobs with_throttle(MigrationKnobs knobs, int initial, int limit) {
    const int most = std::clamp(limit, 1, qemus_most_throttle);
    const int gap = std::max(most - std::clamp(initial, 1, most), 0);
    const int steps = std::max({steps_below, (gap + largest_step - 1) / largest_step, 1});
    const int step = std::max(gap / steps, 1);
    knobs.auto_converge = true;
    knobs.throttle_initial = most - std::min(gap, step * steps);
    knobs.throttle_increment = step;
    return knobs;
}

/// The mildest throttle that is within a hundredth of the time of the hardest one: taking it at once spares QEMU's
/// ramp.
MigrationKnobs throttled_knobs(const ForecastInput& input) {
    const int limit = input.terms.max_throttle;
    const int most = hardest_initial(limit);
    if (!input.curve) return with_throttle(input.knobs, std::min(50, most), limit);
    model::Case one = model::case_of(input, Bound::likely);
    one.load = model::leaning_load(input, Bound::high);
    one.push /= model::band;
    const auto total = [&](int percent) {
        return model::cost_of(input, MigrationMode::pre_copy, one, with_throttle(input.knobs, percent, limit)).total;
    };
    const double hardest = total(most);
    const int needed = needed_throttle(input).value_or(most);
    for (int percent = needed; percent < most; percent += 5)
        if (total(percent) <= 1.01 * hardest) return with_throttle(input.knobs, percent, limit);
    return with_throttle(input.knobs, most, limit);
}

/// QEMU's cache has one slot for each page of its size, by the page's address: only one as large as all of memory keeps
/// any two pages apart. It fills with what is written again, so there must be room for that, as a power of two.
std::optional<Bytes> cache_for(const ForecastInput& input) {
    const model::Load load = model::leaning_load(input, Bound::high);
    const double set = std::min(load.fast.size + load.slow.size, model::as_double(input.memory));
    const auto whole = std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(input.memory.count(), 1)));
    const auto room = static_cast<std::uint64_t>(std::max<std::int64_t>(input.cache_room.count(), 0));
    const std::uint64_t cache = std::min(whole, std::bit_floor(room));
    if (static_cast<double>(cache) < set) return std::nullopt;
    return Bytes(static_cast<std::int64_t>(cache));
}

MigrationKnobs with_differences(MigrationKnobs knobs, Bytes cache) {
    knobs.xbzrle = true;
    knobs.xbzrle_cache = cache;
    return knobs;
}

/// Also with a load at its worst and a little less bandwidth.
bool surely_ends(const ForecastInput& input, const MigrationKnobs& knobs) {
    model::Case one = model::case_of(input, Bound::likely);
    one.load = model::leaning_load(input, Bound::high);
    one.push /= model::band;
    return model::walk(model::pre_copy_of(input, one, knobs)).ends;
}

bool can_pull(const ForecastInput& input) {
    return input.terms.post_copy && input.no_post_copy.empty();
}

/// Measured: a guest that gets less of its time works it off in bursts, in which it dirties all of its set; the last
/// one is part of the downtime.
bool bears(const MigrationKnobs& throttled) {
    constexpr int bearable = 90;
    return throttled.throttle_initial <= bearable;
}

}  // namespace

MigrationKnobs knobs_for_pre_copy(const ForecastInput& input, Convergence by_itself) {
    const MigrationKnobs& asked = input.knobs;
    if (by_itself == Convergence::yes) return asked;
    const bool may_throttle = input.terms.max_throttle > 0 && asked.throttle_initial == 0;
    const MigrationKnobs throttled = may_throttle ? throttled_knobs(input) : asked;
    if (!input.curve || asked.xbzrle || asked.parallel > 0) return throttled;
    const auto cache = cache_for(input);
    const bool untried = !input.delta;
    if (!cache || (untried && can_pull(input))) return throttled;
    const MigrationKnobs compressed = with_differences(asked, *cache);
    if (!untried && surely_ends(input, compressed)) return compressed;
    if (throttled.auto_converge && bears(throttled) && surely_ends(input, throttled)) return throttled;
    if (untried) return compressed;
    const MigrationKnobs both = with_differences(throttled, *cache);
    return surely_ends(input, both) ? both : throttled;
}

bool may_end(const ForecastInput& input, const MigrationKnobs& knobs) {
    model::Case one = model::case_of(input, Bound::likely);
    if (!input.delta) one.delta = model::case_of(input, Bound::low).delta;
    return model::walk(model::pre_copy_of(input, one, knobs)).ends;
}

std::optional<int> needed_throttle(const ForecastInput& input) {
    const model::Load load = model::leaning_load(input, Bound::high);
    int too_little = -1;
    int enough = 100;  // more throttle never hurts: halve the range
    while (enough - too_little > 1) {
        const int percent = std::midpoint(too_little, enough);
        (model::ends_with(input, load, 1 / model::band, percent / 100.0) ? enough : too_little) = percent;
    }
    return enough <= 99 ? std::optional(enough) : std::nullopt;
}

}  // namespace ballast::migration
