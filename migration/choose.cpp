#include "migration/choose.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"
#include "migration/curve_model.h"

namespace ballast::migration {
namespace {

std::string name_of(MigrationMode mode) {
    return boost::describe::enum_to_string(mode, "unknown");
}

const ModeForecast* find_mode(const std::vector<ModeForecast>& modes, MigrationMode mode) {
    const auto found = std::ranges::find(modes, mode, &ModeForecast::mode);
    return found == modes.end() ? nullptr : &*found;
}

std::optional<MigrationMode> explicit_mode(ModeChoice requested) {
    switch (requested) {
        case ModeChoice::stop_and_copy:
            return MigrationMode::stop_and_copy;
        case ModeChoice::pre_copy:
            return MigrationMode::pre_copy;
        case ModeChoice::post_copy:
            return MigrationMode::post_copy;
        case ModeChoice::hybrid:
            return MigrationMode::hybrid;
        case ModeChoice::auto_:
        case ModeChoice::offline:
            return {};
    }
    return {};
}

bool may_pull(MigrationMode mode) {
    return mode == MigrationMode::post_copy || mode == MigrationMode::hybrid;
}

bool can_pull(const ForecastInput& input) {
    return input.terms.post_copy && input.no_post_copy.empty();
}

/// Totals that differ by less count as the same: max(10 %, 200 ms).
Milliseconds tolerance(Milliseconds total) {
    return std::max(total / 10, Milliseconds(200));
}

/// Among equals in time: pre-copy without a throttle risks nothing and slows nothing; then the shorter brown-out; then
/// the shorter downtime.
bool is_milder(const ModeForecast& a, const ModeForecast& b) {
    const auto plain = [](const ModeForecast& one) {
        return one.mode == MigrationMode::pre_copy && one.brown_out.likely == Milliseconds(0);
    };
    if (plain(a) != plain(b)) return plain(a);
    if (a.brown_out.likely != b.brown_out.likely) return a.brown_out.likely < b.brown_out.likely;
    return a.downtime.likely < b.downtime.likely;
}

const ModeForecast* best_of(const std::vector<ModeForecast>& modes) {
    const ModeForecast* quickest = nullptr;
    for (const ModeForecast& one : modes)
        if (one.feasible && (quickest == nullptr || one.total.likely < quickest->total.likely)) quickest = &one;
    if (quickest == nullptr) return nullptr;
    const Milliseconds enough = quickest->total.likely + tolerance(quickest->total.likely);
    const ModeForecast* best = quickest;
    for (const ModeForecast& one : modes)
        if (one.feasible && one.total.likely <= enough && is_milder(one, *best)) best = &one;
    return best;
}

/// A pull of all memory over a slow link makes the guest wait for each page behind the stream: after a round of
/// pre-copy most of what it asks for is there. That is worth this much more time.
const ModeForecast* sparing_the_guest(const ForecastInput& input, const std::vector<ModeForecast>& modes,
                                      const ModeForecast* best) {
    constexpr double worth = 1.3;
    if (best == nullptr || best->mode != MigrationMode::post_copy || !pulls_slowly(input)) return best;
    const ModeForecast* hybrid = find_mode(modes, MigrationMode::hybrid);
    if (hybrid == nullptr || !hybrid->feasible) return best;
    const bool near = model::seconds_of(hybrid->total.likely) <= worth * model::seconds_of(best->total.likely);
    return near ? hybrid : best;
}

std::string refusal_of(const ForecastInput& input, const std::vector<ModeForecast>& modes) {
    std::string text = "no mode is forecast to stay within the policy: ";
    for (const ModeForecast& one : modes) text += fmt::format("{}: {}; ", name_of(one.mode), one.reason);
    text += "give it more time or downtime (policy.max_total, policy.max_downtime, deadline)";
    if (!input.terms.post_copy) text += ", allow post-copy (policy.post_copy)";
    return text + ", or name a mode to run it all the same";
}

std::vector<std::string> plan_of(const ForecastInput& input, const Choice& choice) {
    std::vector<std::string> plan;
    const int most = input.terms.max_throttle;
    if (choice.mode == MigrationMode::hybrid)
        plan.push_back(
            fmt::format("switch to post-copy after round {} unless it ends by itself before", choice.hybrid_rounds));
    if (choice.mode == MigrationMode::post_copy) plan.emplace_back("switch to post-copy with the first bytes");
    if (choice.mode == MigrationMode::pre_copy) {
        if (choice.knobs.xbzrle)
            plan.push_back(fmt::format("from the third round on send only what changed of a page (XBZRLE{})",
                                       choice.knobs.xbzrle_cache
                                           ? fmt::format(", {} of memory on the source", *choice.knobs.xbzrle_cache)
                                           : ""));
        if (choice.knobs.auto_converge && choice.knobs.throttle_initial > 0)
            plan.push_back(
                fmt::format("take {} % of the guest's CPU time as soon as the rounds do not shrink, at most {} %",
                            choice.knobs.throttle_initial, most));
        if (choice.downtime_limit < input.terms.max_downtime)
            plan.push_back(fmt::format("on a stall raise the downtime limit from {} to {}",
                                       to_string(choice.downtime_limit), to_string(input.terms.max_downtime)));
    }
    if (input.terms.max_total || input.terms.deadline)
        plan.emplace_back("abort before the switch if the limit on its time cannot be met any more");
    return plan;
}

std::string alternatives(const ModeForecast& chosen, const std::vector<ModeForecast>& modes) {
    std::string text;
    for (const ModeForecast& one : modes) {
        if (one.mode == chosen.mode || !one.feasible) continue;
        text += fmt::format("{} {} {}", text.empty() ? ";" : ",", name_of(one.mode), to_string(one.total.likely));
    }
    return text;
}

Choice choice_for(const ForecastInput& input, const ModeForecast& forecast) {
    Choice choice;
    choice.mode = forecast.mode;
    choice.knobs = forecast.knobs;
    choice.downtime_limit = downtime_limit_of(input);
    choice.bandwidth = input.terms.bandwidth;
    choice.post_copy_bandwidth = input.terms.post_copy_bandwidth;
    choice.hybrid_rounds = std::max(input.hybrid_rounds, 1);
    return choice;
}

Choice explicit_choice(const ForecastInput& input, const ModeForecast& forecast) {
    Choice choice = choice_for(input, forecast);
    choice.reason = fmt::format("{} was asked for: {} expected, {}", name_of(forecast.mode),
                                to_string(forecast.total.likely), forecast.reason);
    if (!forecast.feasible) choice.warnings.push_back(forecast.reason);
    const bool pulls = forecast.mode == MigrationMode::post_copy || forecast.mode == MigrationMode::hybrid;
    if (!forecast.feasible && pulls)  // its reason is the limit that it breaks; the risk is said all the same
        choice.reason += "; a failure while it pulls loses its running state";
    choice.plan = plan_of(input, choice);
    return choice;
}

/// Pre-copy that may not end, where post-copy is at hand: the same rounds, with the switch as its way out. With XBZRLE
/// it is only run there where it was seen to suffice.
bool wants_a_way_out(const ForecastInput& input, const ModeForecast& best) {
    return best.mode == MigrationMode::pre_copy && best.converges != Convergence::yes && !best.knobs.xbzrle &&
           can_pull(input);
}

Choice automatic_choice(const ForecastInput& input, const std::vector<ModeForecast>& modes, const ModeForecast& best) {
    Choice choice = choice_for(input, best);
    choice.reason =
        fmt::format("{}: {} and {} of downtime expected, {}{}", name_of(best.mode), to_string(best.total.likely),
                    to_string(best.downtime.likely), best.reason, alternatives(best, modes));
    if (wants_a_way_out(input, best)) {
        choice.mode = MigrationMode::hybrid;
        choice.knobs = input.knobs;
        choice.hybrid_rounds = std::max({input.hybrid_rounds, 2, std::min(best.rounds.likely, 4)});
        choice.reason = fmt::format("pre_copy with a switch to post-copy after round {} if it has not ended: {}",
                                    choice.hybrid_rounds, best.reason);
    }
    choice.plan = plan_of(input, choice);
    return choice;
}

/// Without a curve nothing is compared: pre-copy starts, and what it shows decides.
const ModeForecast* best_unmeasured(const std::vector<ModeForecast>& modes) {
    const ModeForecast* pre_copy = find_mode(modes, MigrationMode::pre_copy);
    return pre_copy != nullptr && pre_copy->feasible ? pre_copy : best_of(modes);
}

/// A pre-copy that ends by itself but is forecast to pause longer than the policy says, by fixed costs or by what
/// former moves paused. QEMU holds its limit for the last copy; the rest no mode avoids. It runs, with a warning.
const ModeForecast* converging_pre_copy(const ForecastInput& input, const std::vector<ModeForecast>& modes) {
    const ModeForecast* pre_copy = find_mode(modes, MigrationMode::pre_copy);
    if (pre_copy == nullptr || pre_copy->converges == Convergence::no) return nullptr;
    const bool in_total = !input.terms.max_total || pre_copy->total.low <= *input.terms.max_total;
    const bool in_time = !input.terms.deadline || input.now + pre_copy->total.low <= *input.terms.deadline;
    return in_total && in_time ? pre_copy : nullptr;
}

Result<Choice> explicitly(const ForecastInput& input, const std::vector<ModeForecast>& modes, MigrationMode mode) {
    const ModeForecast* forecast = find_mode(modes, mode);
    if (forecast == nullptr) return fail(Code::internal, "there is no forecast of {}", name_of(mode));
    if (may_pull(mode) && !can_pull(input))
        return fail(Code::failed_precondition, "mode {}: {}", name_of(mode), forecast->reason);
    return explicit_choice(input, *forecast);
}

}  // namespace

Result<Choice> choose(const ForecastInput& input, const std::vector<ModeForecast>& modes, ModeChoice requested) {
    if (requested == ModeChoice::offline)
        return fail(Code::invalid_argument, "mode offline moves a definition only: there is nothing to forecast");
    if (const auto mode = explicit_mode(requested)) return explicitly(input, modes, *mode);
    const ModeForecast* best = input.curve ? sparing_the_guest(input, modes, best_of(modes)) : best_unmeasured(modes);
    if (best == nullptr) {
        if (const ModeForecast* tried = converging_pre_copy(input, modes)) {
            Choice choice = automatic_choice(input, modes, *tried);
            choice.warnings.push_back(tried->reason);
            return choice;
        }
    }
    if (best == nullptr) return fail(Code::failed_precondition, "{}", refusal_of(input, modes));
    return automatic_choice(input, modes, *best);
}

Forecast decide(const ForecastInput& input, ModeChoice requested) {
    Forecast forecast;
    forecast.modes = forecast_modes(input);
    forecast.requested = requested;
    forecast.input = input;
    forecast.made = input.now;
    auto choice = choose(input, forecast.modes, requested);
    if (choice)
        forecast.choice = *std::move(choice);
    else
        forecast.refusal = choice.error().message();
    return forecast;
}

Result<Choice> choice_of(const Forecast& forecast) {
    if (forecast.choice) return *forecast.choice;
    return fail(Code::failed_precondition, "{}",
                forecast.refusal.empty() ? "the forecast has no choice" : forecast.refusal);
}

}  // namespace ballast::migration
