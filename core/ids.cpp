#include "core/ids.h"

#include <algorithm>
#include <cctype>

namespace ballast {
namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool is_hex(char c) {
    return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

Result<std::string> parse_uuid(std::string_view text) {
    std::string digits;
    for (const char c : text) {
        if (c == '-') continue;
        if (!is_hex(c))
            return fail(Code::invalid_argument, "'{}' is not a UUID: '{}' is not a hexadecimal digit", text, c);
        digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (digits.size() != 32)
        return fail(Code::invalid_argument, "'{}' is not a UUID: it has {} hexadecimal digits instead of 32", text,
                    digits.size());
    for (const std::size_t at : {20U, 16U, 12U, 8U}) digits.insert(at, 1, '-');
    return digits;
}

Result<void> check_name(std::string_view what, std::string_view name) {
    const auto allowed = [](char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; };
    if (name.empty())
        return fail(Code::invalid_argument,
                    "the {} has no name; give it one of 1 to 63 letters, digits, '.', '_' or '-'", what);
    if (name.size() > 63)
        return fail(Code::invalid_argument, "the {} name '{}…' has {} characters; 63 is the limit", what,
                    name.substr(0, 20), name.size());
    if (!is_word(name.front()) || !std::ranges::all_of(name, allowed))
        return fail(
            Code::invalid_argument,
            "the {} name '{}' is not valid; use letters, digits, '.', '_' and '-', beginning with a letter or digit",
            what, name);
    return {};
}

}  // namespace ballast
