// The fit of a dirty-page curve: weighted least squares (with Huber's loss) of D(t) over a grid of (lambda, W) in
// logarithmic steps, for random and for sequential writes. The weight exp(-cost/2) of each grid point says how well it
// explains the samples; the curve is the best point, its ranges the weighted 10 % and 90 % marks. So a sample that
// says little (all of them saturated: lambda is only bounded from below) leaves a wide range by itself.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "migration/curve_model.h"

namespace ballast::migration {
namespace {

using model::as_double;
using model::seconds_of;
using model::WritingSet;

constexpr int steps = 40;
constexpr double huber_limit = 2;     // beyond two standard deviations a sample pulls linearly
constexpr double model_error = 0.05;  // the curve is a model: no sample is taken more exactly than this
constexpr double usual_time_s = 1.0;  // W / lambda where the samples say nothing, within a factor of six
constexpr double usual_spread = 1.8;  // ln 6
constexpr double most_rate = 16e9;    // bytes/s: what memory takes
constexpr double least_set = 16 * model::page;

struct Sample {
    double seconds;
    double bytes;
    double error;
};

/// One grid over (ln lambda, ln W).
struct Box {
    double rate_low;
    double rate_high;
    double set_low;
    double set_high;
    [[nodiscard]] double rate(int i) const { return std::exp(std::lerp(rate_low, rate_high, part(i))); }
    [[nodiscard]] double set(int i) const { return std::exp(std::lerp(set_low, set_high, part(i))); }
    static double part(int i) { return static_cast<double>(i) / (steps - 1); }
};

double huber(double deviation) {
    const double size = std::abs(deviation);
    return size <= huber_limit ? size * size : huber_limit * (2 * size - huber_limit);
}

/// In square roots, where a count's deviation does not depend on the count: otherwise a sample that is low by chance,
/// and so believes itself exact, would pull the curve down.
double deviation(double expected, const Sample& sample) {
    const double root = std::sqrt(sample.bytes + sample.error);
    return (std::sqrt(expected + sample.error) - root) * 2 * root / sample.error;
}

double cost_of(const std::vector<Sample>& samples, WritingSet fast, WritingSet slow, bool sequential) {
    double cost = 0;
    for (const Sample& sample : samples) {
        const double expected =
            model::dirtied(fast, sample.seconds, sequential) + model::dirtied(slow, sample.seconds, sequential);
        cost += huber(deviation(expected, sample));
    }
    return cost;
}

/// A weak leaning to an ordinary time constant: it decides only what no sample does.
double leaning(WritingSet set) {
    const double off = std::log(set.size / set.rate / usual_time_s) / usual_spread;
    return off * off;
}

std::vector<Sample> samples_of(const std::vector<CurvePoint>& points) {
    std::vector<Sample> samples;
    for (const CurvePoint& point : points) {
        if (point.window.count() <= 0) continue;
        const double bytes = as_double(point.dirtied);
        const double error = std::hypot(std::max(as_double(point.error), model::page), model_error * bytes);
        samples.push_back({.seconds = seconds_of(point.window), .bytes = bytes, .error = error});
    }
    return samples;
}

std::size_t at_grid(int rate, int set) {
    return static_cast<std::size_t>(rate) * steps + static_cast<std::size_t>(set);
}

struct Weights {
    std::vector<double> joint;  // [rate][set]
    std::array<double, steps> rate{};
    std::array<double, steps> set{};
    double total = 0;
    double best = 1e300;  // lowest cost
};

Weights weigh(const std::vector<Sample>& samples, const Box& box, WritingSet slow, bool sequential, double scale) {
    Weights weights;
    std::vector<double>& costs = weights.joint;
    costs.resize(static_cast<std::size_t>(steps) * steps);
    for (int i = 0; i < steps; ++i)
        for (int j = 0; j < steps; ++j) {
            const WritingSet fast{.rate = box.rate(i), .size = box.set(j)};
            const double cost = cost_of(samples, fast, slow, sequential) / scale + leaning(fast);
            costs[at_grid(i, j)] = cost;
            weights.best = std::min(weights.best, cost);
        }
    for (int i = 0; i < steps; ++i)
        for (int j = 0; j < steps; ++j) {
            double& weight = costs[at_grid(i, j)];
            weight = std::exp(-weight / 2);
            weights.rate[static_cast<std::size_t>(i)] += weight;
            weights.set[static_cast<std::size_t>(j)] += weight;
            weights.total += weight;
        }
    return weights;
}

/// The value below which `share` of the weight lies, between the grid's lines.
double mark(const std::array<double, steps>& weight, double low, double high, double share) {
    const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
    double below = 0;
    for (std::size_t i = 0; i < weight.size(); ++i) {
        if (below + weight[i] >= share * all) {
            const double inside = weight[i] > 0 ? (share * all - below) / weight[i] - 0.5 : 0;
            const double at = (static_cast<double>(i) + inside) / (steps - 1);
            return std::lerp(low, high, std::clamp(at, 0.0, 1.0));
        }
        below += weight[i];
    }
    return high;
}

struct Mixed {
    Box box;
    Weights random;
    Weights sequential;
    double odds = 0.5;  // of sequential writes
    [[nodiscard]] std::array<double, steps> sum(std::array<double, steps> Weights::* which, double share) const {
        std::array<double, steps> all{};
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = (1 - share) * (random.*which)[i] / std::max(random.total, 1e-300) +
                     share * (sequential.*which)[i] / std::max(sequential.total, 1e-300);
        return all;
    }
};

Mixed mix(const std::vector<Sample>& samples, const Box& box, WritingSet slow, double scale) {
    Mixed mixed{.box = box,
                .random = weigh(samples, box, slow, false, scale),
                .sequential = weigh(samples, box, slow, true, scale)};
    mixed.odds = mixed.sequential.total / std::max(mixed.sequential.total + mixed.random.total, 1e-300);
    return mixed;
}

/// The part of the grid that holds nearly all the weight, a little widened: the grid of the second look.
Box narrowed(const Mixed& mixed) {
    const auto rate = mixed.sum(&Weights::rate, mixed.odds);
    const auto set = mixed.sum(&Weights::set, mixed.odds);
    const Box& box = mixed.box;
    const double rate_step = (box.rate_high - box.rate_low) / (steps - 1);
    const double set_step = (box.set_high - box.set_low) / (steps - 1);
    return {.rate_low = std::max(box.rate_low, mark(rate, box.rate_low, box.rate_high, 0.002) - rate_step),
            .rate_high = std::min(box.rate_high, mark(rate, box.rate_low, box.rate_high, 0.998) + rate_step),
            .set_low = std::max(box.set_low, mark(set, box.set_low, box.set_high, 0.002) - set_step),
            .set_high = std::min(box.set_high, mark(set, box.set_low, box.set_high, 0.998) + set_step)};
}

Box whole_range(double memory) {
    return {.rate_low = std::log(model::page),
            .rate_high = std::log(most_rate),
            .set_low = std::log(least_set),
            .set_high = std::log(std::max(memory, 2 * least_set))};
}

/// How much wider than their stated errors the samples scatter about the best curve (a load that changes).
double scatter(const std::vector<Sample>& samples, const Weights& best) {
    const double freedom = static_cast<double>(samples.size()) - 2;
    return freedom < 1 ? 1.0 : std::clamp(best.best / freedom, 1.0, 25.0);
}

struct TwoSets {
    WritingSet fast;
    WritingSet slow;
    double cost = 1e300;
};

/// The best pair of sets on a coarse grid: the slow one at least twice as large and four times as slow to go round.
TwoSets two_sets(const std::vector<Sample>& samples, double memory) {
    constexpr int coarse = 14;
    const Box box = whole_range(memory);
    const auto at = [](double low, double high, int i) {
        return std::exp(std::lerp(low, high, static_cast<double>(i) / (coarse - 1)));
    };
    TwoSets best;
    for (int i = 0; i < coarse * coarse; ++i)
        for (int j = 0; j < coarse * coarse; ++j) {
            const WritingSet fast{.rate = at(box.rate_low, box.rate_high, i / coarse),
                                  .size = at(box.set_low, box.set_high, i % coarse)};
            const WritingSet slow{.rate = at(box.rate_low, box.rate_high, j / coarse),
                                  .size = at(box.set_low, box.set_high, j % coarse)};
            if (slow.size < 2 * fast.size || slow.size / slow.rate < 4 * fast.size / fast.rate) continue;
            if (fast.size + slow.size > memory) continue;
            const double cost = cost_of(samples, fast, slow, false) + 0.2 * (leaning(fast) + leaning(slow));
            if (cost < best.cost) best = {.fast = fast, .slow = slow, .cost = cost};
        }
    return best;
}

/// A search by ever smaller steps along each of the four parameters, from the coarse grid's best point.
TwoSets refined(TwoSets at, const std::vector<Sample>& samples, double memory) {
    const auto cost = [&](const TwoSets& sets) {
        if (sets.fast.size + sets.slow.size > memory) return 1e300;
        return cost_of(samples, sets.fast, sets.slow, false) + 0.2 * (leaning(sets.fast) + leaning(sets.slow));
    };
    for (double step = 2; step > 1.02; step = std::sqrt(step)) {
        bool better = true;
        for (int turn = 0; better && turn < 8; ++turn) {
            better = false;
            for (const auto set : {&TwoSets::fast, &TwoSets::slow})
                for (const auto part : {&WritingSet::rate, &WritingSet::size})
                    for (const double factor : {step, 1 / step}) {
                        TwoSets tried = at;
                        (tried.*set).*part *= factor;
                        tried.cost = cost(tried);
                        if (tried.cost >= at.cost) continue;
                        at = tried;
                        better = true;
                    }
        }
    }
    return at;
}

bool enough_for_two(const std::vector<Sample>& samples) {
    if (samples.size() < 4) return false;
    const auto [shortest, longest] = std::ranges::minmax_element(samples, {}, &Sample::seconds);
    return longest->seconds >= 4 * shortest->seconds;
}

/// W of the point that explains the samples best, and the middle of the rates that go with that W: the two depend on
/// each other, so that the middle of each by itself would miss the samples; and where they leave the rate open, the
/// best point lies at its edge.
WritingSet best_point(const Mixed& mixed, WriteOrder order) {
    // Of an unknown order the curve is read as random writes: so the point must be theirs.
    const bool sequential = order == WriteOrder::sequential;
    const std::vector<double>& joint = sequential ? mixed.sequential.joint : mixed.random.joint;
    const auto best = static_cast<std::size_t>(std::ranges::max_element(joint) - joint.begin()) % steps;
    std::array<double, steps> rates{};
    for (std::size_t i = 0; i < rates.size(); ++i) rates[i] = joint[i * steps + best];
    return {.rate = std::exp(mark(rates, mixed.box.rate_low, mixed.box.rate_high, 0.5)),
            .size = mixed.box.set(static_cast<int>(best))};
}

RateRange rate_range(const Mixed& mixed, double share, double likely) {
    const auto weight = mixed.sum(&Weights::rate, share);
    const auto at = [&](double part) { return std::exp(mark(weight, mixed.box.rate_low, mixed.box.rate_high, part)); };
    return {.low = model::rate_of(std::min(at(0.1), likely)),
            .likely = model::rate_of(likely),
            .high = model::rate_of(std::max(at(0.9), likely))};
}

BytesRange set_range(const Mixed& mixed, double share, double likely) {
    const auto weight = mixed.sum(&Weights::set, share);
    const auto at = [&](double part) { return std::exp(mark(weight, mixed.box.set_low, mixed.box.set_high, part)); };
    return {.low = model::bytes_of(std::min(at(0.1), likely)),
            .likely = model::bytes_of(likely),
            .high = model::bytes_of(std::max(at(0.9), likely))};
}

WriteOrder order_by(double odds) {
    constexpr double sure = 0.85;
    if (odds >= sure) return WriteOrder::sequential;
    return odds <= 1 - sure ? WriteOrder::random : WriteOrder::unknown;
}

}  // namespace

std::optional<DirtyCurve> fit(std::vector<CurvePoint> points, Bytes memory, Timestamp measured) {
    const std::vector<Sample> samples = samples_of(points);
    if (samples.empty() || memory.count() <= 0) return {};
    const Box whole = whole_range(as_double(memory));
    const auto look = [&](WritingSet slow, double scale) {
        return mix(samples, narrowed(mix(samples, whole, slow, scale)), slow, scale);
    };
    Mixed mixed = look({}, 1);
    const double single = std::min(mixed.random.best, mixed.sequential.best);
    WritingSet slow;
    // A second set has to earn its two parameters (Akaike: two each; here with a margin).
    if (enough_for_two(samples) && single > static_cast<double>(samples.size())) {
        const TwoSets two = refined(two_sets(samples, as_double(memory)), samples, as_double(memory));
        if (two.cost + 8 < single) {
            slow = two.slow;
            mixed = look(slow, 1);
        }
    }
    const double scale = scatter(samples, mixed.random.best < mixed.sequential.best ? mixed.random : mixed.sequential);
    if (scale > 1) mixed = look(slow, scale);
    const WriteOrder order = order_by(mixed.odds);
    const double share = order == WriteOrder::random ? 0 : order == WriteOrder::sequential ? 1 : mixed.odds;
    const WritingSet likely = best_point(mixed, order);
    DirtyCurve curve;
    curve.points = std::move(points);
    curve.working_set = set_range(mixed, share, likely.size);
    curve.rate = rate_range(mixed, share, likely.rate);
    curve.slow_rate = model::rate_of(slow.rate);
    curve.slow_set = model::bytes_of(slow.size);
    curve.order = order;
    curve.measured = measured;
    curve.source = "samples";
    return curve;
}

}  // namespace ballast::migration
