#include "migration/forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "migration/choose.h"
#include "migration/forecast_cost.h"
#include "migration/forecast_knobs.h"
#include "migration/steer.h"

namespace ballast::migration {
namespace {

using model::as_double;
using model::Case;
using model::case_of;
using model::Cost;
using model::cost_of;
using model::seconds_of;

constexpr double eighty_per_cent = 1.28;  // standard deviations

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
    forecast.downtime = time_range(range(&Cost::downtime, of_mode(input.past.downtime, forecast.mode)));
    forecast.bytes = bytes_range(range(&Cost::bytes, input.past.bytes));
    forecast.brown_out = time_range(ordered(costs, &Cost::brown_out));
    const auto [fewest, most] = std::minmax({costs[0].rounds, costs[1].rounds, costs[2].rounds});
    forecast.rounds = {.low = fewest, .likely = costs[1].rounds, .high = most};
}

Convergence converges_by_itself(const ForecastInput& input) {
    const auto ends = [&](Bound load, double factor) {
        return model::ends_with(input, model::leaning_load(input, load), factor, 0);
    };
    if (ends(Bound::high, 1 / model::band)) return Convergence::yes;
    return ends(Bound::low, model::band) ? Convergence::uncertain : Convergence::no;
}

// --- what is said about it ---

std::string load_text(const ForecastInput& input) {
    if (!input.curve) return "its writing was never measured";
    const DirtyCurve& curve = *input.curve;
    return fmt::format("it writes about {} into {}", curve.rate.likely, curve.working_set.likely + curve.slow_set);
}

/// How a pre-copy that may not end by itself is to end; empty: there is no help.
std::string help_text(const ForecastInput& input, const ModeForecast& forecast) {
    std::vector<std::string> helps;
    if (forecast.knobs.xbzrle && input.delta)
        helps.push_back(
            fmt::format("XBZRLE, which sent {:.0f} % of a page again in its last move", 100 * *input.delta));
    else if (forecast.knobs.xbzrle)
        helps.emplace_back(
            "XBZRLE (what changed of a page instead of the page), which is tried with it for the first time");
    if (forecast.knobs.auto_converge)
        helps.push_back(fmt::format("a throttle of {} %", forecast.knobs.throttle_initial));
    return fmt::format("{}", fmt::join(helps, " and "));
}

std::string pre_copy_text(const ForecastInput& input, const ModeForecast& forecast) {
    const Case one = case_of(input, Bound::likely);
    const auto push = model::rate_of(one.push);
    const Milliseconds limit = downtime_limit_of(input);
    const auto fits = model::bytes_of(one.push * seconds_of(limit));
    const std::string help = help_text(input, forecast);
    if (forecast.converges == Convergence::yes)
        return fmt::format("{}, the link takes {}: ends by itself after {} round{}", load_text(input), push,
                           forecast.rounds.likely, forecast.rounds.likely == 1 ? "" : "s");
    const std::string facts =
        fmt::format("{}, the link takes {} and {} within {}", load_text(input), push, fits, to_string(limit));
    if (forecast.converges == Convergence::uncertain)
        return fmt::format("{}: may or may not end by itself{}", facts, help.empty() ? "" : ", given " + help);
    return help.empty() ? facts + ": never ends by itself" : fmt::format("{}: needs {}", facts, help);
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
    if (input.delta)
        text +=
            fmt::format("; XBZRLE is no help either: its last move sent {:.0f} % of a page again", 100 * *input.delta);
    return text;
}

/// Why the policy or the pair rules the mode out; empty: they do not. Without a curve only what is certain counts.
std::string obstacle(const ForecastInput& input, const ModeForecast& forecast) {
    const auto least = [&](const TimeRange& range) { return input.curve ? range.likely : range.low; };
    if (needs_post_copy(forecast.mode)) {
        if (!input.terms.post_copy) return "the policy forbids post-copy; set policy.post_copy to allow it";
        if (!input.no_post_copy.empty()) return fmt::format("post-copy is not possible here: {}", input.no_post_copy);
    } else if (forecast.mode == MigrationMode::pre_copy && forecast.converges == Convergence::no &&
               !may_end(input, forecast.knobs)) {
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
    return first_downtime_limit(input.terms, input.past.switch_over.likely,
                                socket_time(input.link.bandwidth.likely, input.terms.bandwidth), input.past.overrun);
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
        const model::PreCopyResult walked = model::walk(pre_copy_of(input, one, input.knobs));
        left[static_cast<std::size_t>(bound)] = walked.seconds + walked.last / one.line;
    }
    std::ranges::sort(left);
    return time_range({.low = left[0], .likely = left[1], .high = left[2]});
}

}  // namespace ballast::migration
