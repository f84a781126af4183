// A row for people: one line per member, units by the ending of the name.

#include <algorithm>

#include "cli/session.h"

namespace ballast::cli {
namespace {

struct Writer {
    const std::vector<std::string>& hidden;
    const std::function<std::string(const std::string&, const std::string&)>& name;
    bool colours;
    std::string out = {};

    static bool is_empty(const Json& value) {
        return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty()) ||
               (value.is_structured() && value.empty());
    }

    /// "memory_bytes" -> "memory", and the value in its unit.
    static std::pair<std::string, std::string> labelled(const std::string& key, const Json& value) {
        const auto stem = [&](std::string_view ending) { return key.substr(0, key.size() - ending.size()); };
        if (value.is_number_integer()) {
            const auto number = value.get<std::int64_t>();
            if (key.ends_with("_bytes_per_second")) return {stem("_bytes_per_second"), rate_text(number)};
            if (key.ends_with("_bytes")) return {stem("_bytes"), to_string(Bytes(number))};
            if (key.ends_with("_ms")) return {stem("_ms"), to_string(Milliseconds(number))};
            if (key.ends_with("_version") && number > 0)
                return {key, fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000)};
            if (key.ends_with("_s")) return {stem("_s"), to_string(Milliseconds(Seconds(number)))};
        }
        if (value.is_boolean()) return {key, value.get<bool>() ? "yes" : "no"};
        return {key, value.is_string() ? printable(value.get_ref<const std::string&>()) : dump(value)};
    }

    void member(const std::string& key, const std::string& path, const Json& value, std::size_t depth) {
        if (is_empty(value) || std::ranges::find(hidden, path) != hidden.end()) return;
        const std::string indent(depth * 2, ' ');
        if (value.is_object()) {
            out += fmt::format("{}{}:\n", indent, words(key));
            object(value, path, depth + 1);
        } else if (value.is_array() && value.front().is_structured()) {
            out += fmt::format("{}{}:\n", indent, words(key));
            for (const auto& item : value) {
                out += indent + "  -\n";
                object(item, path, depth + 2);
            }
        } else if (value.is_array()) {
            std::string list;
            for (const auto& item : value) list += (list.empty() ? "" : ", ") + labelled(key, item).second;
            line(indent, words(key), list, Colour::none);
        } else {
            auto [label, text] = labelled(key, value);
            if (value.is_string()) text = printable(name(key, text));
            const Colour colour =
                key == "state" || key == "verdict" || key == "phase" ? colour_of_state(text) : Colour::none;
            line(indent, words(label), text, colour);
        }
    }

    static std::string words(std::string key) {
        std::ranges::replace(key, '_', ' ');
        return key;
    }

    void line(const std::string& indent, const std::string& label, const std::string& text, Colour colour) {
        out += fmt::format("{}{:<{}} {}\n", indent, label + ":", indent.size() < 20 ? 20 - indent.size() : 0,
                           painted(text, colour, colours));
    }

    void object(const Json& row, const std::string& prefix, std::size_t depth) {
        for (const auto& [key, value] : row.items())
            member(key, prefix.empty() ? key : prefix + "." + key, value, depth);
    }
};

}  // namespace

std::string details(const Json& row, const std::vector<std::string>& hidden,
                    const std::function<std::string(const std::string& key, const std::string& id)>& name,
                    bool colours) {
    Writer writer{.hidden = hidden, .name = name, .colours = colours};
    writer.object(row, "", 0);
    return writer.out;
}

}  // namespace ballast::cli
