#include "migration/forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "migration/choose.h"
#include "migration/forecast_model.h"
#include "migration/steer.h"

namespace ballast::migration {
namespace {

using model::as_double;
using model::Load;
using model::PreCopy;
using model::PreCopyResult;
using model::seconds_of;

/// Page headers on the wire (258 MiB sent of 256, docs/MIGRATION.md).
constexpr double wire_overhead = 1.008;
/// Convergence is called "uncertain" where this much more or less bandwidth changes the answer.
constexpr double band = 1.15;
/// How far the content (memory that is not zero) may be off.
constexpr double content_error = 0.1;
constexpr double eighty_per_cent = 1.28;  // standard deviations

double at(const RateRange& range, Bound bound) {
    switch (bound) {
        case Bound::low:
            return as_double(range.low);
        case Bound::likely:
            return as_double(range.likely);
        case Bound::high:
            return as_double(range.high);
    }
    return as_double(range.likely);
}

double seconds_at(const TimeRange& range, Bound bound) {
    switch (bound) {
        case Bound::low:
            return seconds_of(range.low);
        case Bound::likely:
            return seconds_of(range.likely);
        case Bound::high:
            return seconds_of(range.high);
    }
    return seconds_of(range.likely);
}

double capped(double bandwidth, const std::optional<BytesPerSecond>& cap) {
    const double most = cap && cap->count() > 0 ? std::min(bandwidth, as_double(*cap)) : bandwidth;
    return std::max(most, model::page);
}

Bound opposite(Bound bound) {
    if (bound == Bound::likely) return bound;
    return bound == Bound::low ? Bound::high : Bound::low;
}

/// The input at one end of its ranges, as the cheapest (`low`), likely and dearest (`high`) case.
struct Case {
    double content;
    double push;  ///< bytes/s before a switch
    double pull;  ///< after it
    double line;
    Load load;
    double setup;
    double switch_over;
    double switch_to_pull;
    double finish;
    double disks;
};

DirtyCurve curve_of(const ForecastInput& input) {
    return input.curve ? *input.curve : unmeasured(input.memory, input.now);
}

Load load_at(const ForecastInput& input, Bound bound) {
    Load load = model::load_of(curve_of(input), bound);
    if (input.vcpu_use > 0) load.vcpu_use = std::min(input.vcpu_use, 1.0);
    return load;
}

double content_at(const ForecastInput& input, Bound bound) {
    const double all = as_double(input.memory);
    const bool known = input.content.count() > 0;
    const double likely = known ? std::min(as_double(input.content), all) : all;
    if (bound == Bound::low) return known ? likely * (1 - content_error) : likely / 4;
    return bound == Bound::high ? std::min(all, likely * (1 + content_error)) : likely;
}

Case case_of(const ForecastInput& input, Bound bound) {
    const double line = std::max(at(input.link.bandwidth, opposite(bound)), model::page);
    return {.content = content_at(input, bound),
            .push = capped(line, input.terms.bandwidth),
            .pull = capped(line, input.terms.post_copy_bandwidth),
            .line = line,
            .load = load_at(input, bound),
            .setup = seconds_at(input.past.setup, bound),
            .switch_over = seconds_at(input.past.switch_over, bound),
            .switch_to_pull = seconds_at(input.past.switch_to_pull, bound),
            .finish = seconds_at(input.past.finish, bound),
            .disks = as_double(input.disks)};
}

/// What one mode costs in one case.
struct Cost {
    double total = 0;
    double downtime = 0;
    double bytes = 0;
    double brown_out = 0;
    int rounds = 1;
};

model::Throttle throttle_of(const MigrationKnobs& knobs, int most) {
    model::Throttle throttle{.on = knobs.auto_converge, .most = std::clamp(most, 1, 99) / 100.0};
    if (knobs.throttle_initial > 0) throttle.initial = knobs.throttle_initial / 100.0;
    if (knobs.throttle_increment > 0) throttle.increment = knobs.throttle_increment / 100.0;
    return throttle;
}

PreCopy pre_copy_of(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs, int rounds = 0) {
    return {.content = one.content,
            .bandwidth = one.push,
            .line = one.line,
            .downtime_limit = seconds_of(downtime_limit_of(input)),
            .load = one.load,
            .throttle = throttle_of(knobs, input.terms.max_throttle),
            .rounds = rounds};
}

Cost cost_of_stop(const Case& one) {
    const double transfer = one.content / one.push;
    return {.total = one.setup + one.disks / one.push + transfer + one.switch_over + one.finish,
            .downtime = transfer + one.switch_over,
            .bytes = one.content * wire_overhead + one.disks};
}

Cost cost_of_pre_copy(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs) {
    const PreCopyResult walked = model::walk(pre_copy_of(input, one, knobs));
    const double downtime = walked.left / one.line + one.switch_over;
    return {.total = one.setup + one.disks / one.push + walked.seconds + downtime + one.finish,
            .downtime = downtime,
            .bytes = (walked.sent + walked.left) * wire_overhead + one.disks,
            .brown_out = walked.throttled,
            .rounds = walked.rounds};
}

Cost cost_of_post_copy(const Case& one) {
    const double pulled = one.content / one.pull;
    return {.total = one.setup + one.disks / one.push + one.switch_to_pull + pulled + one.finish,
            .downtime = one.switch_to_pull,
            .bytes = one.content * wire_overhead + one.disks,
            .brown_out = pulled};
}

Cost cost_of_hybrid(const ForecastInput& input, const Case& one) {
    const PreCopyResult walked = model::walk(pre_copy_of(input, one, input.knobs, std::max(input.hybrid_rounds, 1)));
    const double down = walked.ends ? walked.left / one.line + one.switch_over : one.switch_to_pull;
    const double pulled = walked.ends ? 0 : walked.left / one.pull;
    return {.total = one.setup + one.disks / one.push + walked.seconds + down + pulled + one.finish,
            .downtime = down,
            .bytes = (walked.sent + walked.left) * wire_overhead + one.disks,
            .brown_out = pulled + walked.throttled,
            .rounds = walked.rounds};
}

Cost cost_of(const ForecastInput& input, MigrationMode mode, const Case& one, const MigrationKnobs& knobs) {
    switch (mode) {
        case MigrationMode::stop_and_copy:
            return cost_of_stop(one);
        case MigrationMode::pre_copy:
            return cost_of_pre_copy(input, one, knobs);
        case MigrationMode::post_copy:
            return cost_of_post_copy(one);
        case MigrationMode::hybrid:
            return cost_of_hybrid(input, one);
    }
    return {};
}

/// Three values in order, the outer ones as far out as the calibration's spread and the model's own ends say together.
struct Three {
    double low;
    double likely;
    double high;
};

Three spread_out(double low, double likely, double high, const Calibration& past) {
    const double spread = eighty_per_cent * past.spread * likely;
    const double below = std::hypot(std::max(0.0, likely - low), spread);
    const double above = std::hypot(std::max(0.0, high - likely), spread);
    return {.low = std::max(0.0, likely - below) * past.factor,
            .likely = likely * past.factor,
            .high = (likely + above) * past.factor};
}

TimeRange time_range(const Three& three) {
    return {
        .low = model::time_of(three.low), .likely = model::time_of(three.likely), .high = model::time_of(three.high)};
}
BytesRange bytes_range(const Three& three) {
    return {.low = model::bytes_of(three.low),
            .likely = model::bytes_of(three.likely),
            .high = model::bytes_of(three.high)};
}

using Costs = std::array<Cost, 3>;  // low, likely, high

Three ordered(const Costs& costs, double Cost::* which) {
    const double likely = costs[1].*which;
    return {.low = std::min({costs[0].*which, likely, costs[2].*which}),
            .likely = likely,
            .high = std::max({costs[0].*which, likely, costs[2].*which})};
}

void fill_in(ModeForecast& forecast, const ForecastInput& input, const Costs& costs) {
    const auto range = [&](double Cost::* which, const Calibration& past) {
        const Three ends = ordered(costs, which);
        return spread_out(ends.low, ends.likely, ends.high, past);
    };
    forecast.total = time_range(range(&Cost::total, input.past.total));
    forecast.downtime = time_range(range(&Cost::downtime, input.past.downtime));
    forecast.bytes = bytes_range(range(&Cost::bytes, input.past.bytes));
    forecast.brown_out = time_range(ordered(costs, &Cost::brown_out));
    const auto [fewest, most] = std::minmax({costs[0].rounds, costs[1].rounds, costs[2].rounds});
    forecast.rounds = {.low = fewest, .likely = costs[1].rounds, .high = most};
}

bool ends_with(const ForecastInput& input, const Load& load, double factor, double throttle) {
    Case one = case_of(input, Bound::likely);
    one.push *= factor;
    one.load = model::throttled(load, throttle);
    return model::walk(pre_copy_of(input, one, {})).ends;
}

/// Half-way (in logarithms) from what is likely to the end of a range.
double halfway(double likely, double end) {
    return std::sqrt(std::max(likely, 1.0) * std::max(end, 1.0));
}

/// The load at its best or worst that is still likely: half-way to the ends of a measured curve, the ends themselves of
/// one that is only assumed. What is not known of the order of the writes counts against it at the worst.
Load leaning_load(const ForecastInput& input, Bound end) {
    Load load = load_at(input, end);
    if (!input.curve) return load;
    const Load likely = load_at(input, Bound::likely);
    load.fast.rate = halfway(likely.fast.rate, load.fast.rate);
    load.fast.size = halfway(likely.fast.size, load.fast.size);
    return load;
}
Load worst_of(const ForecastInput& input) {
    return leaning_load(input, Bound::high);
}
Load best_of(const ForecastInput& input) {
    return leaning_load(input, Bound::low);
}

Convergence converges_by_itself(const ForecastInput& input) {
    if (ends_with(input, worst_of(input), 1 / band, 0)) return Convergence::yes;
    return ends_with(input, best_of(input), band, 0) ? Convergence::uncertain : Convergence::no;
}

/// QEMU raises the throttle on its own, up to this and no lower limit (libvirt 9.0 has no parameter for one). A move
/// that passes the policy's limit is ended: so steps are left below it, and they land on it.
constexpr int qemus_most_throttle = 99;
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
    Case one = case_of(input, Bound::likely);
    one.load = worst_of(input);
    one.push /= band;
    const auto total = [&](int percent) {
        return cost_of_pre_copy(input, one, with_throttle(input.knobs, percent, limit)).total;
    };
    const double hardest = total(most);
    const int needed = needed_throttle(input).value_or(most);
    for (int percent = needed; percent < most; percent += 5)
        if (total(percent) <= 1.01 * hardest) return with_throttle(input.knobs, percent, limit);
    return with_throttle(input.knobs, most, limit);
}

/// A throttle that was asked for is kept as it was asked for.
MigrationKnobs knobs_for_pre_copy(const ForecastInput& input, Convergence converges) {
    if (converges == Convergence::yes || input.terms.max_throttle <= 0) return input.knobs;
    return input.knobs.throttle_initial > 0 ? input.knobs : throttled_knobs(input);
}

// --- what is said about it ---

std::string load_text(const ForecastInput& input) {
    if (!input.curve) return "its writing was never measured";
    const DirtyCurve& curve = *input.curve;
    return fmt::format("it writes about {} into {}", curve.rate.likely, curve.working_set.likely + curve.slow_set);
}

std::string pre_copy_text(const ForecastInput& input, const ModeForecast& forecast) {
    const Case one = case_of(input, Bound::likely);
    const auto push = model::rate_of(one.push);
    const Milliseconds limit = downtime_limit_of(input);
    const auto fits = model::bytes_of(one.push * seconds_of(limit));
    switch (forecast.converges) {
        case Convergence::yes:
            return fmt::format("{}, the link takes {}: ends by itself after {} round{}", load_text(input), push,
                               forecast.rounds.likely, forecast.rounds.likely == 1 ? "" : "s");
        case Convergence::no:
            if (forecast.knobs.auto_converge)
                return fmt::format("{}, the link takes {} and {} within {}: needs a throttle of {} %", load_text(input),
                                   push, fits, to_string(limit), forecast.knobs.throttle_initial);
            return fmt::format("{}, the link takes {} and {} within {}: never ends by itself", load_text(input), push,
                               fits, to_string(limit));
        case Convergence::uncertain:
            return fmt::format("{}, the link takes {} and {} within {}: may or may not end by itself", load_text(input),
                               push, fits, to_string(limit));
    }
    return {};
}

std::string text_of(const ForecastInput& input, const ModeForecast& forecast) {
    const Case one = case_of(input, Bound::likely);
    switch (forecast.mode) {
        case MigrationMode::stop_and_copy:
            return fmt::format("{} at {} while the guest stands still", model::bytes_of(one.content),
                               model::rate_of(one.push));
        case MigrationMode::pre_copy:
            return pre_copy_text(input, forecast);
        case MigrationMode::post_copy:
            return fmt::format("{} at {} while it runs on the target{}; a failure then loses its running state",
                               model::bytes_of(one.content), model::rate_of(one.pull),
                               pulls_slowly(input)
                                   ? ", and may stand for a second at a time, as what it asks for comes "
                                     "behind the stream"
                                   : "");
        case MigrationMode::hybrid:
            return fmt::format(
                "{} round{} of pre-copy, then the rest at {} while it runs on the target; a failure then "
                "loses its running state",
                input.hybrid_rounds, input.hybrid_rounds == 1 ? "" : "s", model::rate_of(one.pull));
    }
    return {};
}

bool needs_post_copy(MigrationMode mode) {
    return mode == MigrationMode::post_copy || mode == MigrationMode::hybrid;
}

std::string endless_text(const ForecastInput& input) {
    std::string text =
        fmt::format("it does not end within {} even with {} % of the guest's CPU time taken",
                    to_string(model::time_of(model::horizon)), std::min(input.terms.max_throttle, qemus_most_throttle));
    if (input.vcpu_use > 0)
        text += fmt::format(" (it uses {} % of it: only what is taken beyond the rest slows its writing)",
                            std::lround(100 * std::min(input.vcpu_use, 1.0)));
    if (const auto needed = needed_throttle(input); needed && *needed > input.terms.max_throttle)
        text += fmt::format("; it needs {} % (policy.max_throttle)", *needed);
    return text;
}

/// Why the policy or the pair rules the mode out; empty: they do not. Without a curve only what is certain counts.
std::string obstacle(const ForecastInput& input, const ModeForecast& forecast) {
    const auto least = [&](const TimeRange& range) { return input.curve ? range.likely : range.low; };
    if (needs_post_copy(forecast.mode)) {
        if (!input.terms.post_copy) return "the policy forbids post-copy; set policy.post_copy to allow it";
        if (!input.no_post_copy.empty()) return fmt::format("post-copy is not possible here: {}", input.no_post_copy);
    } else if (forecast.mode == MigrationMode::pre_copy && forecast.converges == Convergence::no &&
               !model::walk(pre_copy_of(input, case_of(input, Bound::likely), forecast.knobs)).ends) {
        return endless_text(input);
    }
    const Milliseconds down =
        forecast.mode == MigrationMode::stop_and_copy ? least(forecast.downtime) : forecast.downtime.low;
    if (down > input.terms.max_downtime)
        return fmt::format("its downtime of {} exceeds max_downtime ({})", to_string(forecast.downtime.likely),
                           to_string(input.terms.max_downtime));
    if (input.terms.max_total && least(forecast.total) > *input.terms.max_total)
        return fmt::format("it takes {}, max_total is {}", to_string(forecast.total.likely),
                           to_string(*input.terms.max_total));
    if (input.terms.deadline && input.now + least(forecast.total) > *input.terms.deadline)
        return fmt::format("it takes {}, the deadline is in {}", to_string(forecast.total.likely),
                           to_string(std::max(Milliseconds(0), Milliseconds(*input.terms.deadline - input.now))));
    return {};
}

}  // namespace

bool pulls_slowly(const ForecastInput& input) {
    constexpr double long_pull_s = 2;
    const Case one = case_of(input, Bound::likely);
    return one.content / one.pull > long_pull_s;
}

Milliseconds downtime_limit_of(const ForecastInput& input) {
    return first_downtime_limit(input.terms, input.past.switch_over.likely);
}

ModeForecast forecast_mode(const ForecastInput& input, MigrationMode mode) {
    ModeForecast forecast;
    forecast.mode = mode;
    forecast.knobs = input.knobs;
    if (mode == MigrationMode::pre_copy) {
        forecast.converges = converges_by_itself(input);
        forecast.knobs = knobs_for_pre_copy(input, forecast.converges);
    }
    Costs costs;
    for (const Bound bound : {Bound::low, Bound::likely, Bound::high})
        costs[static_cast<std::size_t>(bound)] = cost_of(input, mode, case_of(input, bound), forecast.knobs);
    fill_in(forecast, input, costs);
    forecast.reason = text_of(input, forecast);
    if (const std::string against = obstacle(input, forecast); !against.empty()) {
        forecast.feasible = false;
        forecast.reason = against;
    }
    return forecast;
}

std::vector<ModeForecast> forecast_modes(const ForecastInput& input) {
    std::vector<ModeForecast> modes;
    for (const auto mode :
         {MigrationMode::stop_and_copy, MigrationMode::pre_copy, MigrationMode::post_copy, MigrationMode::hybrid})
        modes.push_back(forecast_mode(input, mode));
    return modes;
}

const ModeForecast& of_mode(const Forecast& forecast, MigrationMode mode) {
    static const ModeForecast none;
    const auto found = std::ranges::find(forecast.modes, mode, &ModeForecast::mode);
    return found == forecast.modes.end() ? none : *found;
}

std::optional<int> needed_throttle(const ForecastInput& input) {
    const Load load = worst_of(input);
    int too_little = -1;
    int enough = 100;  // more throttle never hurts: halve the range
    while (enough - too_little > 1) {
        const int percent = std::midpoint(too_little, enough);
        (ends_with(input, load, 1 / band, percent / 100.0) ? enough : too_little) = percent;
    }
    return enough <= 99 ? std::optional(enough) : std::nullopt;
}

TimeRange time_left(const ForecastInput& input, MigrationMode mode, bool pulling, Bytes remaining,
                    BytesPerSecond throughput) {
    const double rate = std::max(as_double(throughput), model::page);
    const double plain = as_double(remaining) / rate;
    if (pulling || mode != MigrationMode::pre_copy) {
        const Three ends = spread_out(0.9 * plain, plain, 1.1 * plain, {});
        return time_range(ends);
    }
    std::array<double, 3> left{};
    for (const Bound bound : {Bound::low, Bound::likely, Bound::high}) {
        Case one = case_of(input, bound);
        one.content = as_double(remaining);
        one.push = rate;
        const PreCopyResult walked = model::walk(pre_copy_of(input, one, input.knobs));
        left[static_cast<std::size_t>(bound)] = walked.seconds + walked.left / one.line;
    }
    std::ranges::sort(left);
    return time_range({.low = left[0], .likely = left[1], .high = left[2]});
}

}  // namespace ballast::migration
