#include "core/json.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <nlohmann/json.hpp>

namespace ballast {
namespace {

/// The deepest nesting of a JSON text, found without recursion; strings and their escapes are skipped.
std::size_t depth_of(std::string_view text, std::size_t stop_at) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size() && deepest <= stop_at; ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
    if (text.size() > limits.bytes)
        return fail(Code::invalid_argument, "the JSON document has {} bytes; the limit is {}", text.size(),
                    limits.bytes);
    if (depth_of(text, limits.depth) > limits.depth)
        return fail(Code::invalid_argument, "the JSON document is nested more than {} levels deep", limits.depth);
    try {
        return Json::parse(text);
    } catch (const nlohmann::json::parse_error& error) {
        return fail(Code::invalid_argument, "the document is not valid JSON at byte {}: {}", error.byte, error.what());
    } catch (const nlohmann::json::exception& error) {
        return fail(Code::invalid_argument, "the document is not valid JSON: {}", error.what());
    }
}

bool is_compact_json(std::string_view text) {
    bool quoted = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '"')
            quoted = !quoted;
        else if (quoted && text[at] == '\\')
            ++at;
        else if (!quoted && static_cast<unsigned char>(text[at]) <= ' ')
            return false;
    }
    return Json::accept(text);  // builds no tree
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
            diagonal = row[j];
            row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

}  // namespace ballast
