#pragma once
// Values as they are written: one value of TOML or one text of environment and flags, read into a typed member within
// its limits and written back. Errors say what was expected and what was found; the caller adds key and place. Pure.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/units.h"

namespace ballast::config {

/// `Text` came from outside TOML, so that it may stand for any type; a std::string is a TOML string.
struct Text {
    std::string text;
};
/// A TOML value of a type that no key has (a table, a date, a mixed list).
struct Other {
    std::string type;
};
using Raw = std::variant<Text, bool, std::int64_t, double, std::string, std::vector<std::string>, Other>;

/// The value as it stood, for messages.
[[nodiscard]] std::string describe(const Raw& raw);

template <class T>
struct Bounds {
    T least;
    T most;
};

[[nodiscard]] Result<bool> read_bool(const Raw& raw);
[[nodiscard]] Result<std::int64_t> read_number(const Raw& raw, Bounds<std::int64_t> bounds);
[[nodiscard]] Result<std::string> read_text(const Raw& raw);
[[nodiscard]] Result<std::vector<std::string>> read_texts(const Raw& raw);
[[nodiscard]] Result<Bytes> read_size(const Raw& raw, Bounds<Bytes> bounds);
/// The same size, per second.
[[nodiscard]] Result<BytesPerSecond> read_rate(const Raw& raw, Bounds<Bytes> bounds);
[[nodiscard]] Result<Milliseconds> read_duration(const Raw& raw, Bounds<Milliseconds> bounds);
/// The word itself, if it is one of `words`.
[[nodiscard]] Result<std::string> read_word(const Raw& raw, const std::vector<std::string>& words);

/// "500ms", "10s", "5min", "24h", "90d": a whole number and its unit.
[[nodiscard]] Result<Milliseconds> parse_duration(std::string_view text);
/// In the largest unit that is exact: "90d", "10s".
[[nodiscard]] std::string duration_text(Milliseconds duration);
/// In the largest binary unit that is exact: "16K", "64G".
[[nodiscard]] std::string size_text(Bytes size);
/// As a TOML basic string, with its quotes.
[[nodiscard]] std::string toml_text(std::string_view text);

}  // namespace ballast::config
