#pragma once
// JSON in and out of value types, by their Boost.Describe field lists: nothing is written twice. Reading is strict: an
// unknown key, a wrong type or an unknown enumerator is an error that names its path ("vm.disks[0].bus: unknown value
// 'scsy'; did you mean 'scsi'?"); a missing key keeps the member's default. A member's JSON name carries its unit:
// `Bytes memory` is "memory_bytes", `Milliseconds downtime` is "downtime_ms". For people, "memory": "256M" is accepted
// as well. Pure. This header only declares; definitions for the rows of core are in core/rows.cpp, and a module with
// types of its own includes core/json_impl.h in one .cpp.

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/error.h"

namespace ballast {

/// Keys keep the order of the field list.
using Json = nlohmann::ordered_json;

/// A JSON text carried as it is: embedded in documents unquoted, never interpreted by core.
struct JsonText {
    std::string text = "null";
    friend bool operator==(const JsonText&, const JsonText&) = default;
};

template <class T>
[[nodiscard]] Json to_json(const T& value);

template <class T>
[[nodiscard]] Result<T> from_json(const Json& json, std::string_view path);

/// JSON Schema (2020-12) of T, with nested described types by "$ref": "#/components/schemas/Name".
template <class T>
[[nodiscard]] Json json_schema();

struct JsonLimits {
    std::size_t bytes = std::size_t{1} << 20U;
    std::size_t depth = 64;
};

/// Parses text from outside: bounded in size and depth (checked before the recursive parser sees it), valid UTF-8 only.
/// Errors: invalid_argument with the offset.
[[nodiscard]] Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

/// Compact text of a value; never fails (invalid UTF-8 is replaced).
[[nodiscard]] std::string dump(const Json& json);

/// Whether `text` is JSON without white space between its parts, as dump() writes it: such a text is embedded as it is.
[[nodiscard]] bool is_compact_json(std::string_view text);

/// Text to and from a row in one step; usable where Json is only declared.
template <class T>
[[nodiscard]] std::string to_json_text(const T& value);
template <class T>
[[nodiscard]] Result<T> parse_as(std::string_view text, std::string_view path);

/// The candidate nearest to `word` by edit distance, or empty when none is near: for "did you mean".
template <class Words>
[[nodiscard]] std::string nearest(std::string_view word, const Words& candidates);

[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Words>
std::string nearest(std::string_view word, const Words& candidates) {
    std::string best;
    std::size_t best_distance = word.size() / 3 + 2;
    for (const auto& candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = std::string(candidate);
        }
    }
    return best;
}

}  // namespace ballast
