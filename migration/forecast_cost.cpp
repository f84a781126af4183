#include "migration/forecast_cost.h"

#include <algorithm>
#include <cmath>

#include "migration/steer.h"

namespace ballast::migration::model {
namespace {

/// Page headers on the wire (258 MiB sent of 256, docs/MIGRATION.md).
constexpr double wire_overhead = 1.008;
/// How far the content (memory that is not zero) may be off.
constexpr double content_error = 0.1;
/// QEMU 7.2's own.
constexpr double default_xbzrle_cache = 64.0 * 1024 * 1024;
/// A page of which one byte changed, with its header.
constexpr double least_delta = 0.005;

/// What XBZRLE may make of the pages of a guest with which it was never tried.
struct Untried {
    double low = 0.05;
    double likely = 0.25;
    double high = 1;
};

double capped(double bandwidth, const std::optional<BytesPerSecond>& cap) {
    const double most = cap && cap->count() > 0 ? std::min(bandwidth, as_double(*cap)) : bandwidth;
    return std::max(most, model::page);
}

Bound opposite(Bound bound) {
    if (bound == Bound::likely) return bound;
    return bound == Bound::low ? Bound::high : Bound::low;
}

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

/// Of a page that was never sent as a difference, anything may have changed.
double delta_at(const ForecastInput& input, Bound bound) {
    if (!input.delta) return end_of(Untried{}, bound);
    constexpr double error = 0.3;
    const double factor = bound == Bound::likely ? 1 : bound == Bound::low ? 1 - error : 1 + error;
    return std::clamp(*input.delta * factor, least_delta, 1.0);
}

/// What goes over the wire for a page that is sent again: with XBZRLE its difference, if the cache has held it. A slot
/// is chosen by the page's address, so below the size of memory it is kept by the pages that share it with none.
double resent(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs) {
    if (!knobs.xbzrle) return 1;
    const double cache = knobs.xbzrle_cache ? as_double(*knobs.xbzrle_cache) : default_xbzrle_cache;
    const bool apart = cache >= as_double(input.memory);
    const double held = apart ? 1 : std::exp(-one.load.fast.size / cache);
    return 1 - held * (1 - one.delta);
}

model::Throttle throttle_of(const MigrationKnobs& knobs, int most) {
    model::Throttle throttle{.on = knobs.auto_converge, .most = std::clamp(most, 1, 99) / 100.0};
    if (knobs.throttle_initial > 0) throttle.initial = knobs.throttle_initial / 100.0;
    if (knobs.throttle_increment > 0) throttle.increment = knobs.throttle_increment / 100.0;
    return throttle;
}

/// Half-way (in logarithms) from what is likely to the end of a range.
double halfway(double likely, double end) {
    return std::sqrt(std::max(likely, 1.0) * std::max(end, 1.0));
}

}  // namespace

Case case_of(const ForecastInput& input, Bound bound) {
    const double line = std::max(as_double(end_of(input.link.bandwidth, opposite(bound))), model::page);
    return {.content = content_at(input, bound),
            .push = capped(line, input.terms.bandwidth),
            .pull = capped(line, input.terms.post_copy_bandwidth),
            .line = line,
            .load = load_at(input, bound),
            .setup = seconds_of(end_of(input.past.setup, bound)),
            .socket = seconds_of(socket_time(model::rate_of(line), input.terms.bandwidth)),
            .switch_over = seconds_of(end_of(input.past.switch_over, bound)),
            .switch_to_pull = seconds_of(end_of(input.past.switch_to_pull, bound)),
            .finish = seconds_of(end_of(input.past.finish, bound)),
            .disks = as_double(input.disks),
            .delta = delta_at(input, bound)};
}

PreCopy pre_copy_of(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs, int rounds) {
    return {.content = one.content,
            .bandwidth = one.push,
            .line = one.line,
            .downtime_limit = seconds_of(downtime_limit_of(input)),
            .load = one.load,
            .throttle = throttle_of(knobs, input.terms.max_throttle),
            .resent = resent(input, one, knobs),
            .rounds = rounds};
}

namespace {

Cost cost_of_stop(const Case& one) {
    const double transfer = one.content / one.push;
    return {.total = one.setup + one.disks / one.push + transfer + one.switch_over + one.finish,
            .downtime = transfer + one.switch_over,
            .bytes = one.content * wire_overhead + one.disks};
}

Cost cost_of_pre_copy(const ForecastInput& input, const Case& one, const MigrationKnobs& knobs) {
    const PreCopyResult walked = model::walk(pre_copy_of(input, one, knobs));
    const double downtime = walked.last / one.line + one.socket + one.switch_over;
    return {.total = one.setup + one.disks / one.push + walked.seconds + downtime + one.finish,
            .downtime = downtime,
            .bytes = (walked.sent + walked.last) * wire_overhead + one.disks,
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
    const double down = walked.ends ? walked.last / one.line + one.socket + one.switch_over : one.switch_to_pull;
    const double pulled = walked.ends ? 0 : walked.left / one.pull;
    const double rest = walked.ends ? walked.last : walked.left;  // what is pulled is sent in full
    return {.total = one.setup + one.disks / one.push + walked.seconds + down + pulled + one.finish,
            .downtime = down,
            .bytes = (walked.sent + rest) * wire_overhead + one.disks,
            .brown_out = pulled + walked.throttled,
            .rounds = walked.rounds};
}

}  // namespace

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

Load leaning_load(const ForecastInput& input, Bound end) {
    Load load = load_at(input, end);
    if (!input.curve) return load;
    const Load likely = load_at(input, Bound::likely);
    load.fast.rate = halfway(likely.fast.rate, load.fast.rate);
    load.fast.size = halfway(likely.fast.size, load.fast.size);
    return load;
}
bool ends_with(const ForecastInput& input, const Load& load, double factor, double throttle) {
    Case one = case_of(input, Bound::likely);
    one.push *= factor;
    one.load = model::throttled(load, throttle);
    return model::walk(pre_copy_of(input, one, {})).ends;
}

}  // namespace ballast::migration::model
