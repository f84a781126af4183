#include "memory/shares.h"

#include <algorithm>
#include <limits>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

constexpr double highest_tax = 0.99;

/// A claim in doubles, its limits in order.
struct Line {
    double shares;
    double active;
    double k;
    double least;
    double most;

    [[nodiscard]] double cost(double bytes) const { return bytes <= active ? bytes : active + k * (bytes - active); }
    [[nodiscard]] double price_of(double bytes) const { return cost(bytes) / shares; }
    [[nodiscard]] double bytes_at(double price) const {
        const double spent = price * shares;
        const double bytes = spent <= active ? spent : active + (spent - active) / k;
        return std::clamp(bytes, least, most);
    }
};

Line line_of(const ShareClaim& claim) {
    const double least = std::max(as_double(claim.least), 0.0);
    return {.shares = claim.shares > 0 ? claim.shares : 1,
            .active = std::max(as_double(claim.active), 0.0),
            .k = 1 / (1 - std::clamp(claim.tax, 0.0, highest_tax)),
            .least = least,
            .most = std::max(as_double(claim.most), least)};
}

double sum_at(const std::vector<Line>& lines, double price) {
    double sum = 0;
    for (const Line& line : lines) sum += line.bytes_at(price);
    return sum;
}

/// The prices at which some claim's slope changes, in order.
std::vector<double> bends(const std::vector<Line>& lines) {
    std::vector<double> prices{0};
    for (const Line& line : lines)
        for (const double bytes : {line.least, std::clamp(line.active, line.least, line.most), line.most})
            prices.push_back(line.price_of(bytes));
    std::ranges::sort(prices);
    return prices;
}

/// The price at which all together get `budget`.
double price_for(const std::vector<Line>& lines, double budget) {
    const std::vector<double> prices = bends(lines);
    const auto above =
        std::ranges::partition_point(prices, [&](double price) { return sum_at(lines, price) <= budget; });
    if (above == prices.end()) return prices.back();
    if (above == prices.begin()) return 0;
    const double low = *(above - 1);
    const double at_low = sum_at(lines, low);
    const double at_high = sum_at(lines, *above);
    return low + (*above - low) * (budget - at_low) / (at_high - at_low);
}

}  // namespace

double shares_per_byte(const ShareClaim& claim, Bytes has) {
    const Line line = line_of(claim);
    if (has <= Bytes(0)) return std::numeric_limits<double>::infinity();
    return line.shares / line.cost(as_double(has));
}

std::vector<Bytes> divide(std::span<const ShareClaim> claims, Bytes budget) {
    std::vector<Line> lines;
    lines.reserve(claims.size());
    for (const ShareClaim& claim : claims) lines.push_back(line_of(claim));
    const double price = lines.empty() ? 0 : price_for(lines, as_double(budget));
    std::vector<Bytes> sizes;
    sizes.reserve(claims.size());
    for (const Line& line : lines) sizes.push_back(bytes_of(line.bytes_at(price)));
    return sizes;
}

}  // namespace ballast::memory
