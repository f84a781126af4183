#include <charconv>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/commands/commands.h"

namespace ballast::cli {

Result<Json> parse_labels(const std::vector<std::string>& words) {
    Json labels = Json::object();
    for (const auto& word : words) {
        const auto equals = word.find('=');
        if (equals == std::string::npos || equals == 0)
            return fail(Code::invalid_argument, "--label {}: write it as key=value", word);
        labels[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return labels;
}

Result<Json> size_json(const std::string& flag, const std::string& text) {
    const auto size = parse_bytes(text);
    if (!size) return fail(Code::invalid_argument, "{} {}: {}", flag, text, size.error().message());
    return Json(size->count());
}

Result<std::string> read_text(const std::string& path) {
    std::ostringstream text;
    if (path == "-") {
        text << std::cin.rdbuf();
        return text.str();
    }
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(Code::invalid_argument, "the file '{}' can't be read", path);
    text << file.rdbuf();
    return text.str();
}

Result<Milliseconds> parse_timeout(std::string_view text) {
    std::int64_t number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    const std::string_view unit(end, static_cast<std::size_t>(last - end));
    const bool good = error == std::errc{} && number > 0 && number <= 10'000'000;
    if (good && unit == "ms") return Milliseconds(number);
    if (good && (unit.empty() || unit == "s")) return Milliseconds(Seconds(number));
    if (good && (unit == "min" || unit == "m")) return Milliseconds(std::chrono::minutes(number));
    if (good && unit == "h") return Milliseconds(std::chrono::hours(number));
    if (good && unit == "d") return Milliseconds(std::chrono::days(number));
    return fail(Code::invalid_argument, "--timeout {}: write a time above zero with its unit, such as 90s or 5min",
                text);
}

}  // namespace ballast::cli
