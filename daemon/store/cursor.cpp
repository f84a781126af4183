#include "daemon/store/cursor.h"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "core/try.h"

namespace ballast::store {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr char separator = '\x1F';  // names and ids hold no control characters

std::string encode(std::string_view bytes) {
    std::string text;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char byte : bytes) {
        bits = (bits << 8U) | static_cast<unsigned char>(byte);
        for (held += 8; held >= 6; held -= 6) text += alphabet[(bits >> (held - 6)) & 63U];
    }
    if (held > 0) text += alphabet[(bits << (6 - held)) & 63U];
    return text;
}

std::optional<std::string> decode(std::string_view text) {
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char letter : text) {
        const auto value = alphabet.find(letter);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        bytes += static_cast<char>((bits >> held) & 255U);
    }
    return bytes;
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts(1);
    for (const char letter : text)
        if (letter == separator)
            parts.emplace_back();
        else
            parts.back() += letter;
    return parts;
}

std::string order_of(std::string_view sort, bool descending) {
    return fmt::format("{}{}", descending ? "-" : "+", sort);
}

std::optional<SqlValue> value_of(std::string_view tagged) {
    if (tagged.starts_with('t')) return std::string(tagged.substr(1));
    if (!tagged.starts_with('i')) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(tagged.data() + 1, tagged.data() + tagged.size(), number);
    if (error != std::errc() || end != tagged.data() + tagged.size()) return std::nullopt;
    return number;
}

}  // namespace

std::string make_cursor(const Cursor& cursor, std::string_view sort, bool descending) {
    const auto* number = std::get_if<std::int64_t>(&cursor.value);
    const std::string value =
        number != nullptr ? fmt::format("i{}", *number) : "t" + std::get<std::string>(cursor.value);
    return encode(order_of(sort, descending) + separator + value + separator + cursor.id);
}

Result<Cursor> parse_cursor(std::string_view text, std::string_view sort, bool descending) {
    const auto parts = split(decode(text).value_or(""));
    const auto value = parts.size() == 3 ? value_of(parts[1]) : std::nullopt;
    if (!value)
        return fail(Code::invalid_argument, "after: '{}' is not a cursor; use the `next` of the last page", text);
    if (parts[0] != order_of(sort, descending))
        return fail(Code::invalid_argument,
                    "after: this cursor belongs to a list in another order ({}); start again "
                    "without `after`",
                    parts[0]);
    return Cursor{*value, parts[2]};
}

}  // namespace ballast::store
