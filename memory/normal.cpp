#include "memory/normal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace ballast::memory {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;

/// 1 / (2 pi) * integral from 0 to `angle` of exp(-h^2 / (1 + sin t)) dt: Gauss and Legendre's rule of five points.
double covariance(double h, double angle) {
    constexpr std::array<double, 5> nodes{0.04691007703, 0.23076534495, 0.5, 0.76923465505, 0.95308992297};
    constexpr std::array<double, 5> weights{0.11846344253, 0.23931433525, 0.28444444444, 0.23931433525, 0.11846344253};
    double sum = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        sum += weights.at(i) * std::exp(-h * h / (1 + std::sin(nodes.at(i) * angle)));
    return sum * angle / two_pi;
}

/// The angle at which that is `variance`: Newton's steps, kept within the range by halving.
double angle_for(double h, double variance) {
    double low = 0;
    double high = 1.5;
    double angle = std::clamp(variance * two_pi * std::exp(h * h), 0.001, 1.0);
    for (int i = 0; i < 12; ++i) {
        const double off = covariance(h, angle) - variance;
        (off > 0 ? high : low) = angle;
        const double slope = std::exp(-h * h / (1 + std::sin(angle))) / two_pi;
        double next = angle - off / slope;
        if (next <= low || next >= high) next = (low + high) / 2;
        if (std::abs(next - angle) < 1e-9) break;
        angle = next;
    }
    return angle;
}

double beta_third_moment(double mean, double variance) {
    const double most = mean * (1 - mean);
    if (variance <= 0 || most <= 0) return 0;
    const double size = std::max(most / variance - 1, 1e-6);  // alpha + beta
    const double skew = 2 * (1 - 2 * mean) * std::sqrt(size + 1) / ((size + 2) * std::sqrt(most));
    return skew * variance * std::sqrt(variance);
}

}  // namespace

double normal_below(double z) {
    return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

double normal_density(double z) {
    return std::exp(-0.5 * z * z) / std::sqrt(two_pi);
}

double normal_quantile(double p) {
    constexpr std::array<double, 6> a{-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                                      1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    constexpr std::array<double, 5> b{-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                                      6.680131188771972e+01, -1.328068155288572e+01};
    constexpr std::array<double, 6> c{-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                                      -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    constexpr std::array<double, 4> d{7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                                      3.754408661907416e+00};
    constexpr double edge = 0.02425;
    p = std::clamp(p, 1e-15, 1 - 1e-15);
    if (p > 1 - edge) return -normal_quantile(1 - p);
    if (p < edge) {
        const double q = std::sqrt(-2 * std::log(p));
        return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
               ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    }
    const double q = p - 0.5;
    const double r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
           (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

Share share_of(double mean, double deviation) {
    constexpr double edge = 1e-4;
    constexpr double widest = 0.97;  // of the variance of one that is only ever at 0 or 1
    const double at = std::clamp(mean, edge, 1 - edge);
    const double h = normal_quantile(at);
    const double variance = std::min(deviation * deviation, widest * at * (1 - at));
    if (variance < 1e-12) return {.a = h, .b = 0};
    const double r = std::min(std::sin(angle_for(h, variance)), 0.999);
    const double b = std::sqrt(r / (1 - r));
    return {.a = h * std::sqrt(1 + b * b), .b = b};
}

Moments moments_given(const Share& share, double loading, double factor) {
    const double own = share.b * share.b * (1 - loading * loading);
    const double h = (share.a + share.b * loading * factor) / std::sqrt(1 + own);
    const double mean = normal_below(h);
    const double variance = own > 0 ? covariance(h, std::asin(own / (1 + own))) : 0;
    return {.mean = mean, .variance = variance, .third = beta_third_moment(mean, variance)};
}

double tail_above(const Moments& sum, double x) {
    if (sum.variance <= 0) return sum.mean > x ? 1 : 0;
    const double deviation = std::sqrt(sum.variance);
    const double skew = sum.third / (sum.variance * deviation);
    const double at = (x - sum.mean) / deviation;
    const double bend = std::abs(skew);
    if (bend < 1e-4) return normal_below(-at);
    const double mirrored = skew > 0 ? at : -at;
    const double base = bend * mirrored / 2 + 1;
    const double z = base > 0 ? 6 / bend * (std::cbrt(base) - 1) + bend / 6 : -40;
    return normal_below(skew > 0 ? -z : z);
}

}  // namespace ballast::memory
