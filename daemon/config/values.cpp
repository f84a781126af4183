#include "daemon/config/values.h"

#include <array>
#include <charconv>
#include <utility>

#include <fmt/ranges.h>

#include "core/json.h"
#include "core/try.h"

namespace ballast::config {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
};
constexpr std::array units{Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"min", 60'000}, Unit{"s", 1'000},
                           Unit{"ms", 1}};
constexpr std::int64_t longest = std::int64_t{100} * 366 * 86'400'000;

template <class Value>
const Value* as(const Raw& raw) {
    return std::get_if<Value>(&raw);
}

template <class T>
Result<T> expected(std::string_view what, const Raw& raw) {
    return fail(Code::invalid_argument, "expected {}, got {}", what, describe(raw));
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return number;
}

/// A text from either world: a TOML string or an override.
const std::string* any_text(const Raw& raw) {
    if (const auto* text = as<Text>(raw)) return &text->text;
    return as<std::string>(raw);
}

std::vector<std::string> split_at_commas(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto comma = text.find(',');
        std::string_view part = text.substr(0, comma);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        if (!part.empty()) parts.emplace_back(part);
        text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    }
    return parts;
}

}  // namespace

std::string describe(const Raw& raw) {
    struct Visitor {
        std::string operator()(const Text& value) const { return fmt::format("'{}'", value.text); }
        std::string operator()(bool value) const { return value ? "true" : "false"; }
        std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
        std::string operator()(double value) const { return fmt::format("{}", value); }
        std::string operator()(const std::string& value) const { return toml_text(value); }
        std::string operator()(const std::vector<std::string>&) const { return "a list"; }
        std::string operator()(const Other& value) const { return value.type; }
    };
    return std::visit(Visitor{}, raw);
}

Result<bool> read_bool(const Raw& raw) {
    if (const auto* value = as<bool>(raw)) return *value;
    if (const auto* text = as<Text>(raw)) {
        if (text->text == "true") return true;
        if (text->text == "false") return false;
    }
    return expected<bool>("true or false", raw);
}

Result<std::int64_t> read_number(const Raw& raw, Bounds<std::int64_t> bounds) {
    std::optional<std::int64_t> number;
    if (const auto* value = as<std::int64_t>(raw)) number = *value;
    if (const auto* text = as<Text>(raw)) number = whole_number(text->text);
    if (!number)
        return expected<std::int64_t>(fmt::format("a whole number from {} to {}", bounds.least, bounds.most), raw);
    if (*number < bounds.least || *number > bounds.most)
        return fail(Code::invalid_argument, "{} is out of range ({} to {})", *number, bounds.least, bounds.most);
    return *number;
}

Result<std::string> read_text(const Raw& raw) {
    if (const auto* text = any_text(raw)) return *text;
    return expected<std::string>("a text in quotes", raw);
}

Result<std::vector<std::string>> read_texts(const Raw& raw) {
    if (const auto* list = as<std::vector<std::string>>(raw)) return *list;
    if (const auto* text = as<Text>(raw)) return split_at_commas(text->text);
    return expected<std::vector<std::string>>("a list of texts such as [\"a\", \"b\"]", raw);
}

Result<Bytes> read_size(const Raw& raw, Bounds<Bytes> bounds) {
    std::optional<Bytes> size;
    if (const auto* count = as<std::int64_t>(raw)) size = Bytes(*count);
    if (const auto* text = any_text(raw)) {
        if (const auto parsed = parse_bytes(*text)) size = *parsed;
    }
    if (!size) return expected<Bytes>("a size such as \"16K\" or \"1G\"", raw);
    if (*size < bounds.least || *size > bounds.most)
        return fail(Code::invalid_argument, "{} is out of range ({} to {})", describe(raw), size_text(bounds.least),
                    size_text(bounds.most));
    return *size;
}

Result<BytesPerSecond> read_rate(const Raw& raw, Bounds<Bytes> bounds) {
    BALLAST_TRY(const auto size, read_size(raw, bounds));
    return BytesPerSecond(size.count());
}

Result<Milliseconds> read_duration(const Raw& raw, Bounds<Milliseconds> bounds) {
    const auto* text = any_text(raw);
    const auto parsed = text != nullptr ? parse_duration(*text) : fail(Code::invalid_argument, "no unit");
    if (!parsed) return expected<Milliseconds>("a duration with its unit (ms, s, min, h, d) such as \"10s\"", raw);
    if (*parsed < bounds.least || *parsed > bounds.most)
        return fail(Code::invalid_argument, "{} is out of range ({} to {})", describe(raw), duration_text(bounds.least),
                    duration_text(bounds.most));
    return *parsed;
}

Result<std::string> read_word(const Raw& raw, const std::vector<std::string>& words) {
    const auto* text = any_text(raw);
    const std::string choice = fmt::format("one of {}", fmt::join(words, ", "));
    if (text == nullptr) return expected<std::string>(choice, raw);
    for (const auto& word : words)
        if (word == *text) return word;
    if (const std::string near = nearest(*text, words); !near.empty())
        return fail(Code::invalid_argument, "expected {}, got {}; did you mean '{}'?", choice, describe(raw), near);
    return expected<std::string>(choice, raw);
}

Result<Milliseconds> parse_duration(std::string_view text) {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = whole_number(text.substr(0, digits));
    for (const auto& unit : units) {
        if (!number || text.substr(digits) != unit.name) continue;
        if (*number > longest / unit.milliseconds) break;
        return Milliseconds(*number * unit.milliseconds);
    }
    return fail(Code::invalid_argument, "'{}' is no duration: write a whole number and its unit (ms, s, min, h, d)",
                text);
}

std::string duration_text(Milliseconds duration) {
    for (const auto& unit : units)
        if (duration.count() != 0 && duration.count() % unit.milliseconds == 0)
            return fmt::format("{}{}", duration.count() / unit.milliseconds, unit.name);
    return "0s";
}

std::string size_text(Bytes size) {
    std::int64_t count = size.count();
    std::string_view unit;
    for (const std::string_view next : {"K", "M", "G", "T"}) {
        if (count == 0 || count % 1024 != 0) break;
        count /= 1024;
        unit = next;
    }
    return fmt::format("{}{}", count, unit);
}

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += fmt::format("\\{}", c);
        else if (static_cast<unsigned char>(c) < 0x20)
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + "\"";
}

}  // namespace ballast::config
