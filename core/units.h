#pragma once
// Quantities with their units in the type. A quantity is never a bare number.

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/error.h"

namespace ballast {

/// A signed 64-bit count of something; addition and subtraction stay in the unit, multiplication is by a plain factor.
template <class Unit>
class Quantity {
  public:
    using Rep = std::int64_t;
    constexpr Quantity() = default;
    constexpr explicit Quantity(Rep count) : count_(count) {}

    [[nodiscard]] constexpr Rep count() const noexcept { return count_; }

    friend constexpr auto operator<=>(const Quantity&, const Quantity&) = default;
    friend constexpr bool operator==(const Quantity&, const Quantity&) = default;
    friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.count_ + b.count_); }
    friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.count_ - b.count_); }
    friend constexpr Quantity operator*(Quantity a, Rep factor) { return Quantity(a.count_ * factor); }
    friend constexpr Quantity operator/(Quantity a, Rep divisor) { return Quantity(a.count_ / divisor); }
    friend constexpr double operator/(Quantity a, Quantity b) {
        return static_cast<double>(a.count_) / static_cast<double>(b.count_);
    }
    constexpr Quantity& operator+=(Quantity other) {
        count_ += other.count_;
        return *this;
    }
    constexpr Quantity& operator-=(Quantity other) {
        count_ -= other.count_;
        return *this;
    }

  private:
    Rep count_ = 0;
};

using Bytes = Quantity<struct ByteUnit>;
using BytesPerSecond = Quantity<struct ByteRateUnit>;
using Watts = Quantity<struct PowerUnit>;

[[nodiscard]] constexpr Bytes kibibytes(std::int64_t n) {
    return Bytes(n * 1024);
}
[[nodiscard]] constexpr Bytes mebibytes(std::int64_t n) {
    return Bytes(n * 1024 * 1024);
}
[[nodiscard]] constexpr Bytes gibibytes(std::int64_t n) {
    return Bytes(n * 1024 * 1024 * 1024);
}

/// a - b, but never below zero.
[[nodiscard]] constexpr Bytes saturating_sub(Bytes a, Bytes b) {
    return a > b ? a - b : Bytes(0);
}

/// "256M", "1.5GiB", "4096" (bytes). Binary units; K, M, G, T with or without "iB"/"B". Errors: invalid_argument.
[[nodiscard]] Result<Bytes> parse_bytes(std::string_view text);

/// "256 MiB", "1.5 GiB": at most one decimal, exact where the number is whole.
[[nodiscard]] std::string to_string(Bytes bytes);
[[nodiscard]] std::string to_string(BytesPerSecond rate);

using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
/// Wall-clock time, UTC, millisecond resolution. Pure modules receive it; they never read a clock.
using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

/// RFC 3339 with milliseconds and "Z".
[[nodiscard]] std::string to_string(Timestamp time);
[[nodiscard]] Result<Timestamp> parse_timestamp(std::string_view text);
/// "850 ms", "12.3 s", "4 min 5 s".
[[nodiscard]] std::string to_string(Milliseconds duration);

}  // namespace ballast

template <>
struct fmt::formatter<ballast::Bytes> : fmt::formatter<std::string> {
    auto format(ballast::Bytes bytes, fmt::format_context& context) const {
        return fmt::formatter<std::string>::format(ballast::to_string(bytes), context);
    }
};
template <>
struct fmt::formatter<ballast::BytesPerSecond> : fmt::formatter<std::string> {
    auto format(ballast::BytesPerSecond rate, fmt::format_context& context) const {
        return fmt::formatter<std::string>::format(ballast::to_string(rate), context);
    }
};
