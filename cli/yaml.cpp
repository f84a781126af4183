// YAML out of JSON: block style, keys in their order.

#include <array>

#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace ballast::cli {
namespace {

/// Whether a plain scalar would be read back as this very text.
bool is_plain(const std::string& text) {
    constexpr std::array words{"true", "false", "null", "yes", "no", "on", "off", "~"};
    if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
    std::string low;
    for (const char c : text) low += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const auto* word : words)
        if (low == word) return false;
    const bool letter_first = std::isalpha(static_cast<unsigned char>(text.front())) != 0 || text.front() == '/';
    if (!letter_first || low == "nan" || low == "inf") return false;
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f) return false;
    return text.find(": ") == std::string::npos && text.find(" #") == std::string::npos && text.back() != ':' &&
           text.find_first_of("\"'{}[]&*!|>%@`,\\") == std::string::npos;
}

std::string scalar(const Json& json) {
    if (!json.is_string()) return dump(json);
    const auto& text = json.get_ref<const std::string&>();
    return is_plain(text) ? text : dump(json);
}

void write(const Json& json, std::size_t depth, bool after_dash, std::string& out) {
    const std::string indent(depth * 2, ' ');
    bool first = after_dash;
    const auto begin_line = [&] {
        if (!std::exchange(first, false)) out += indent;
    };
    const auto value = [&](const Json& item, std::size_t deeper) {
        if (!item.is_structured() || item.empty()) {
            out += " " + (item.is_structured() ? dump(item) : scalar(item)) + "\n";
            return;
        }
        out += "\n";
        write(item, deeper, false, out);
    };
    if (json.is_object()) {
        for (const auto& [key, item] : json.items()) {
            begin_line();
            out += (is_plain(key) ? key : dump(Json(key))) + ":";
            value(item, depth + 1);
        }
    } else if (json.is_array()) {
        for (const auto& item : json) {
            begin_line();
            out += "-";
            if (item.is_structured() && !item.empty()) {
                out += " ";
                write(item, depth + 1, true, out);
            } else {
                value(item, depth + 1);
            }
        }
    }
}

}  // namespace

std::string to_yaml(const Json& json) {
    if (!json.is_structured()) return scalar(json) + "\n";
    if (json.empty()) return dump(json) + "\n";
    std::string out;
    write(json, 0, false, out);
    return out;
}

}  // namespace ballast::cli
