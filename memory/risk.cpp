#include "memory/risk.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

/// The points of Z: what matters is its upper tail.
constexpr double first_point = -2;
constexpr double step = 0.25;
constexpr int points = 29;

/// Sums over the members of one group: of deviations and of the cube roots of third moments.
struct Powers {
    double deviation = 0;
    double variance = 0;
    double root = 0;
    double root_2 = 0;
    double root_3 = 0;

    void add(const Moments& one) {
        const double t = std::cbrt(one.third);
        deviation += std::sqrt(one.variance);
        variance += one.variance;
        root += t;
        root_2 += t * t;
        root_3 += one.third;
    }
    [[nodiscard]] double common_variance() const { return deviation * deviation - variance; }
};

/// What correlation adds to the moments of a sum: pairs and triples of members of which some share one draw.
void add_common(Moments& sum, const Powers& group, double correlation) {
    sum.variance += correlation * group.common_variance();
    const double pairs = group.root_2 * group.root - group.root_3;
    const double triples = std::pow(group.root, 3) - 3 * group.root * group.root_2 + 2 * group.root_3;
    sum.third += 3 * correlation * pairs + std::pow(correlation, 1.5) * triples;
}

struct Row {
    Share share;
    double maximum;
    double loading;
    bool widest;        ///< of the group whose factor Z is: all it has in common is Z
    std::size_t group;  ///< of `groups`; 0: none
};

/// What demands hang on Z with, and what is left in common given Z.
struct Correlations {
    double widest;    ///< loading of the widest group
    double others;    ///< and of all others
    double any_two;   ///< left between any two of the others
    double in_group;  ///< left within a group of the others, beyond that
};

Correlations correlations_of(const RiskModel& model, bool has_groups) {
    const double host = std::clamp(model.host, 0.0, 0.95);
    const double group = std::clamp(model.group, host, 0.99);
    const double others = has_groups ? (group > 0 ? host / std::sqrt(group) : 0) : std::sqrt(host);
    const double left = 1 - others * others;
    const double any_two = std::max((host - others * others) / left, 0.0);
    return {std::sqrt(group), others, any_two, std::max((group - others * others) / left - any_two, 0.0)};
}

/// Weights of the points: the density, with all below the first point in the first.
std::vector<double> weights() {
    std::vector<double> all(points);
    double sum = 0;
    for (int i = 0; i < points; ++i)
        sum += all[static_cast<std::size_t>(i)] = normal_density(first_point + step * i) * step;
    all.front() += 1 - sum;
    return all;
}

double deviation_of(const Demand& demand) {
    return std::max(as_double(demand.deviation), 0.0);
}

/// The name of the group with the largest common variance; empty: there is none.
std::string_view widest_group(std::span<const Demand> demands) {
    std::map<std::string_view, Powers> groups;
    for (const Demand& demand : demands)
        if (!demand.group.empty()) groups[demand.group].add({.variance = deviation_of(demand) * deviation_of(demand)});
    std::string_view widest;
    double most = 0;
    for (const auto& [name, powers] : groups) {
        if (powers.common_variance() <= most * (1 + 1e-9)) continue;
        widest = name;
        most = powers.common_variance();
    }
    return widest;
}

/// All demands on one Z.
struct Model {
    std::vector<Row> rows;
    std::vector<Powers> groups;  ///< room for one point's sums; the first is of all others together
    Correlations correlations{};
};

Model model_of(std::span<const Demand> demands, const RiskModel& risk) {
    const std::string_view widest = widest_group(demands);
    Model model;
    model.correlations = correlations_of(risk, !widest.empty());
    std::map<std::string_view, std::size_t> numbers;
    model.rows.reserve(demands.size());
    for (const Demand& demand : demands) {
        const double maximum = std::max(as_double(demand.maximum), 1.0);
        const bool in_widest = !widest.empty() && demand.group == widest;
        std::size_t group = 0;
        if (!in_widest && !demand.group.empty())
            group = numbers.emplace(demand.group, numbers.size() + 1).first->second;
        model.rows.push_back(
            {.share = share_of(as_double(demand.working_set) / maximum, deviation_of(demand) / maximum),
             .maximum = maximum,
             .loading = in_widest ? model.correlations.widest : model.correlations.others,
             .widest = in_widest,
             .group = group});
    }
    model.groups.resize(numbers.size() + 1);
    return model;
}

Moments scaled(Moments one, double maximum) {
    return {one.mean * maximum, one.variance * maximum * maximum, one.third * maximum * maximum * maximum};
}

Moments sum_given(Model& model, double factor) {
    Moments sum;
    std::ranges::fill(model.groups, Powers{});
    for (const Row& row : model.rows) {
        const Moments one = scaled(moments_given(row.share, row.loading, factor), row.maximum);
        sum.mean += one.mean;
        sum.variance += one.variance;
        sum.third += one.third;
        if (row.widest) continue;
        model.groups.front().add(one);
        if (row.group > 0) model.groups[row.group].add(one);
    }
    add_common(sum, model.groups.front(), model.correlations.any_two);
    for (std::size_t i = 1; i < model.groups.size(); ++i) add_common(sum, model.groups[i], model.correlations.in_group);
    return sum;
}

}  // namespace

DemandSum::DemandSum(std::span<const Demand> demands, const RiskModel& model) : model_(model) {
    double squares = 0;
    double fourths = 0;
    for (const Demand& demand : demands) {
        mean_ += demand.working_set;
        minimums_ += std::min(demand.minimum, demand.maximum);
        maximums_ += demand.maximum;
        const double s2 = deviation_of(demand) * deviation_of(demand);
        squares += s2;
        fourths += s2 * s2;
    }
    if (fourths > 0) parts_ = squares * squares / fourths;
    Model rows = model_of(demands, model);
    const std::vector<double> weight = weights();
    given_.reserve(points);
    for (int i = 0; i < points; ++i)
        given_.push_back({weight[static_cast<std::size_t>(i)], sum_given(rows, first_point + step * i)});
}

double DemandSum::exceeds(Bytes capacity) const {
    if (capacity >= maximums_) return 0;
    double sum = 0;
    for (const Given& given : given_) sum += given.weight * tail_above(given.sum, as_double(capacity));
    return std::clamp(sum, 0.0, 1.0);
}

double DemandSum::exceeds_within_horizon(Bytes capacity) const {
    const double once = exceeds(capacity);
    if (once <= 0 || once >= 1) return once;
    const double u = normal_quantile(1 - once);
    constexpr double overshoot = 0.583;
    const double often = u > 0 ? std::max(1.0, u * u * std::exp(-overshoot * u * std::sqrt(2 / parts_))) : 1;
    const double times = 1 + often * seconds_of(model_.horizon) / std::max(seconds_of(model_.persistence), 1.0);
    return -std::expm1(times * std::log1p(-once));
}

template <class Tail>
Bytes DemandSum::least_with(Tail tail, double limit) const {
    Bytes low;
    Bytes high = maximums_;
    while (high - low > mebibytes(1)) {
        const Bytes middle = low + (high - low) / 2;
        (tail(middle) > limit ? low : high) = middle;
    }
    return high;
}

Bytes DemandSum::at_most(double exceeded) const {
    return least_with([this](Bytes c) { return exceeds(c); }, exceeded);
}

Bytes DemandSum::capacity_for(double risk) const {
    return least_with([this](Bytes c) { return exceeds_within_horizon(c); }, risk);
}

}  // namespace ballast::memory
