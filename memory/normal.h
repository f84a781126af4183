#pragma once
// The normal distribution, and the share model that admission counts with. Numbers without units. Pure.

namespace ballast::memory {

/// Phi(z).
[[nodiscard]] double normal_below(double z);
/// The z with Phi(z) = p, for 0 < p < 1; beyond that it is taken as just inside (Acklam's rational fit, error 1e-9).
[[nodiscard]] double normal_quantile(double p);
/// phi(z).
[[nodiscard]] double normal_density(double z);

/// A share of a whole, between 0 and 1: X = Phi(a + b z), z standard normal (Vasicek, Risk 15(12), 2002). With
///   h = a / sqrt(1 + b^2) and r = b^2 / (1 + b^2):
///   E X = Phi(h),   Var X = Phi2(h, h; r) - Phi(h)^2 = 1 / (2 pi) * integral from 0 to asin r of exp(-h^2 / (1 + sin
///   t)) dt
struct Share {
    double a = 0;
    double b = 0;
};
/// With this mean and deviation. Both are kept within what a share can have.
[[nodiscard]] Share share_of(double mean, double deviation);

struct Moments {
    double mean = 0;
    double variance = 0;
    double third = 0;  ///< third central moment
};
/// Given a common factor of which each share has the part `loading` (its correlation's square root):
/// X = Phi(a + b (loading * factor + sqrt(1 - loading^2) * e)). The third moment is that of the beta distribution of
/// the same mean and variance.
[[nodiscard]] Moments moments_given(const Share& share, double loading, double factor);

/// P(S > x) of the shifted gamma distribution (Pearson III) with these moments, by Wilson and Hilferty (PNAS 17, 1931).
[[nodiscard]] double tail_above(const Moments& sum, double x);

}  // namespace ballast::memory
