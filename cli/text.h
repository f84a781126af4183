#pragma once
// How things read for people: units, ages, tables that fit the terminal, YAML, colour. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/units.h"

namespace ballast::cli {

enum class Colour { none, green, yellow, red, grey, bold };
/// The text between escape sequences where `enabled`.
[[nodiscard]] std::string painted(std::string_view text, Colour colour, bool enabled);

/// What a state or verdict looks like: running green, failed red, …
[[nodiscard]] Colour colour_of_state(std::string_view state);

/// Columns that a text takes: code points of UTF-8.
[[nodiscard]] std::size_t display_width(std::string_view text);
/// Cut to `width` columns, the last one '…'.
[[nodiscard]] std::string clipped(std::string_view text, std::size_t width);
/// Control characters shown as \xNN: names and messages of others must not steer the terminal.
[[nodiscard]] std::string printable(std::string_view text);

struct Cell {
    std::string text;
    Colour colour = Colour::none;
};

struct Table {
    struct Heading {
        std::string text;
        bool right = false;     ///< numbers
        bool flexible = false;  ///< gives way first when the terminal is narrow
    };
    std::vector<Heading> headings;
    std::vector<std::vector<Cell>> rows;
};

/// `width` 0: no terminal, nothing is cut.
[[nodiscard]] std::string render_table(const Table& table, std::size_t width, bool colours);

/// Block style YAML 1.2; texts that could be taken for something else are quoted.
[[nodiscard]] std::string to_yaml(const Json& json);

/// "3 min", "2 h", "5 d": how long before `now`.
[[nodiscard]] std::string age(const std::string& timestamp, Timestamp now);
/// "12.3 MiB/s"
[[nodiscard]] std::string rate_text(std::int64_t bytes_per_second);
/// "#########.....  62 %"
[[nodiscard]] std::string bar(int percent, std::size_t width);

}  // namespace ballast::cli
