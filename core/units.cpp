#include "core/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace ballast {
namespace {

constexpr std::array<std::string_view, 6> binary_units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

std::string scaled(std::int64_t count, std::string_view suffix) {
    auto value = static_cast<double>(count);
    std::size_t unit = 0;
    while (std::abs(value) >= 1024 && unit + 1 < binary_units.size()) {
        value /= 1024;
        ++unit;
    }
    const bool whole = std::abs(value - std::round(value)) < 0.05;
    return whole ? fmt::format("{:.0f} {}{}", value, binary_units[unit], suffix)
                 : fmt::format("{:.1f} {}{}", value, binary_units[unit], suffix);
}

Result<std::int64_t> unit_factor(std::string_view whole, std::string_view unit) {
    if (unit.empty() || unit == "B" || unit == "b") return 1;
    constexpr std::string_view letters = "KMGTP";
    const auto at = letters.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit.front()))));
    const std::string_view rest = unit.substr(1);
    if (at == std::string_view::npos || !(rest.empty() || rest == "iB" || rest == "ib" || rest == "B" || rest == "b"))
        return fail(Code::invalid_argument, "'{}' is not a size: unknown unit '{}'; use K, M, G or T (powers of 1024)",
                    whole, unit);
    return std::int64_t{1} << (10 * (at + 1));
}

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{})
        return fail(Code::invalid_argument, "'{}' is not a size; write for example 256M or 2GiB", text);
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    const auto factor = unit_factor(text, unit);
    if (!factor) return std::unexpected(factor.error());
    const double bytes = number * static_cast<double>(*factor);
    if (!(bytes >= 0) || bytes > 9e18)
        return fail(Code::invalid_argument, "'{}' is not a size between 0 and 8 EiB", text);
    return Bytes(std::llround(bytes));
}

std::string to_string(Bytes bytes) {
    return scaled(bytes.count(), "");
}
std::string to_string(BytesPerSecond rate) {
    return scaled(rate.count(), "/s");
}

std::string to_string(Timestamp time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

Result<Timestamp> parse_timestamp(std::string_view text) {
    using namespace std::chrono;
    const std::string copy(text);
    int year = 0, month = 0, date = 0, hour = 0, minute = 0, second = 0, milli = 0, used = 0;
    // NOLINTNEXTLINE(cert-err34-c): every field is range-checked below
    const int got =
        std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &date, &hour, &minute, &second, &used);
    std::string_view rest = text.substr(std::min(static_cast<std::size_t>(used), text.size()));
    if (got == 6 && !rest.empty() && rest.front() == '.') {
        const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), milli);
        for (auto digits = end - rest.data() - 1; digits < 3; ++digits) milli *= 10;
        if (end - rest.data() != 4 && milli > 999) milli = 999;
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    }
    const year_month_day day{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                             std::chrono::day(static_cast<unsigned>(date))};
    if (got != 6 || rest != "Z" || !day.ok() || hour > 23 || minute > 59 || second > 60)
        return fail(Code::invalid_argument, "'{}' is not a time; write it as 2026-01-31T12:00:00Z", text);
    return Timestamp(sys_days(day)) + hours(hour) + minutes(minute) + seconds(second) + milliseconds(milli);
}

std::string to_string(Milliseconds duration) {
    const auto ms = duration.count();
    if (ms < 1000) return fmt::format("{} ms", ms);
    if (ms < 60'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
    if (ms < 3'600'000) return fmt::format("{} min {} s", ms / 60'000, ms % 60'000 / 1000);
    return fmt::format("{} h {} min", ms / 3'600'000, ms % 3'600'000 / 60'000);
}

}  // namespace ballast
