#include "cli/text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace ballast::cli {
namespace {

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

std::size_t total(const std::vector<std::size_t>& widths) {
    std::size_t sum = widths.empty() ? 0 : 2 * (widths.size() - 1);
    for (const auto width : widths) sum += width;
    return sum;
}

/// Takes columns from the widest flexible column, then from the widest of all, until the row fits.
void squeeze(std::vector<std::size_t>& widths, const Table& table, std::size_t limit) {
    constexpr std::size_t least = 8;
    for (const bool flexible_only : {true, false}) {
        while (total(widths) > limit) {
            std::size_t widest = widths.size();
            for (std::size_t i = 0; i < widths.size(); ++i) {
                if (flexible_only && !table.headings[i].flexible) continue;
                if (widths[i] > least && (widest == widths.size() || widths[i] > widths[widest])) widest = i;
            }
            if (widest == widths.size()) break;
            --widths[widest];
        }
    }
}

std::string padded(std::string_view text, std::size_t width, bool right, bool last) {
    const std::string fitting = clipped(text, width);
    const std::size_t used = display_width(fitting);
    const std::string space(width > used ? width - used : 0, ' ');
    if (right) return space + fitting;
    return last ? fitting : fitting + space;
}

}  // namespace

std::string painted(std::string_view text, Colour colour, bool enabled) {
    if (!enabled || colour == Colour::none) return std::string(text);
    constexpr std::array codes{"", "32", "33", "31", "90", "1"};
    return fmt::format("\x1b[{}m{}\x1b[0m", codes.at(static_cast<std::size_t>(colour)), text);
}

Colour colour_of_state(std::string_view state) {
    constexpr std::array good{"running", "up", "succeeded", "ready", "ok", "active"};
    constexpr std::array bad{"crashed", "conflict", "failed",  "unreachable",
                             "refused", "missing",  "unknown", "revoked"};
    constexpr std::array busy{"creating",   "starting",  "stopping",    "migrating",   "deleting",
                              "connecting", "slow",      "quarantined", "maintenance", "cancelling",
                              "warning",    "verifying", "paused",      "queued",      "cancelled"};
    if (std::ranges::find(good, state) != good.end()) return Colour::green;
    if (std::ranges::find(bad, state) != bad.end()) return Colour::red;
    if (std::ranges::find(busy, state) != busy.end()) return Colour::yellow;
    return state == "stopped" || state == "inactive" ? Colour::grey : Colour::none;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !continues_character(c); }));
}

std::string clipped(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::size_t end = 0;
    for (std::size_t columns = 0; end < text.size(); ++end)
        if (!continues_character(text[end]) && ++columns == width) break;
    return std::string(text.substr(0, end)) + "…";
}

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\x{:02x}", byte);
        else
            out += c;
    }
    return out;
}

std::string render_table(const Table& table, std::size_t width, bool colours) {
    std::vector<std::size_t> widths;
    for (const auto& heading : table.headings) widths.push_back(display_width(heading.text));
    for (const auto& row : table.rows)
        for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
    if (width != 0) squeeze(widths, table, width);
    const auto line = [&](auto&& cell_at) {
        std::string out;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            const Cell cell = cell_at(i);
            const auto text = padded(cell.text, widths[i], table.headings[i].right, i + 1 == widths.size());
            out += (i == 0 ? "" : "  ") + painted(text, cell.colour, colours);
        }
        while (out.ends_with(' ')) out.pop_back();
        return out + "\n";
    };
    std::string out = line([&](std::size_t i) { return Cell{table.headings[i].text, Colour::bold}; });
    for (const auto& row : table.rows) out += line([&](std::size_t i) { return row[i]; });
    return out;
}

std::string age(const std::string& timestamp, Timestamp now) {
    const auto time = parse_timestamp(timestamp);
    if (!time) return "-";
    const auto seconds = std::max<std::int64_t>(0, std::chrono::floor<Seconds>(now - *time).count());
    if (seconds < 120) return fmt::format("{} s", seconds);
    if (seconds < 120 * 60) return fmt::format("{} min", seconds / 60);
    if (seconds < 48 * 3'600) return fmt::format("{} h", seconds / 3'600);
    return fmt::format("{} d", seconds / 86'400);
}

std::string rate_text(std::int64_t bytes_per_second) {
    return to_string(BytesPerSecond(bytes_per_second));
}

std::string bar(int percent, std::size_t width) {
    const auto share = static_cast<std::size_t>(std::clamp(percent, 0, 100)) * width / 100;
    return fmt::format("{}{} {:>3} %", std::string(share, '#'), std::string(width - share, '.'), percent);
}

}  // namespace ballast::cli
