#pragma once
// The templates behind core/json.h. Include it only in a .cpp (nlohmann/json costs 1.6 s a file).

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <nlohmann/json.hpp>

#include "core/ids.h"
#include "core/json.h"
#include "core/try.h"
#include "core/units.h"

namespace ballast {
namespace json_detail {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <class Tag, class T>
struct IsMap<std::map<Id<Tag>, T>> : std::true_type {};
template <class T>
struct IsId : std::false_type {};
template <class Tag>
struct IsId<Id<Tag>> : std::true_type {};

inline const std::string& key_text(const std::string& key) {
    return key;
}
template <class Tag>
const std::string& key_text(const Id<Tag>& key) {
    return key.str();
}
template <class T>
struct IsQuantity : std::false_type {};
template <class Unit>
struct IsQuantity<Quantity<Unit>> : std::true_type {};
template <class T>
struct IsDuration : std::false_type {};
template <class R, class P>
struct IsDuration<std::chrono::duration<R, P>> : std::true_type {};

template <class T>
concept Described = boost::describe::has_describe_members<T>::value && !std::is_union_v<T>;
template <class T>
concept DescribedEnum = boost::describe::has_describe_enumerators<T>::value;

template <class T>
using Public = boost::describe::describe_members<T, boost::describe::mod_public>;

/// The unit that a member's JSON name ends with, by its type.
template <class T>
constexpr std::string_view unit_suffix() {
    if constexpr (IsOptional<T>::value || IsVector<T>::value)
        return unit_suffix<typename T::value_type>();
    else if constexpr (std::is_same_v<T, Bytes>)
        return "_bytes";
    else if constexpr (std::is_same_v<T, BytesPerSecond>)
        return "_bytes_per_second";
    else if constexpr (std::is_same_v<T, Watts>)
        return "_watts";
    else if constexpr (std::is_same_v<T, Milliseconds>)
        return "_ms";
    else if constexpr (std::is_same_v<T, Seconds>)
        return "_s";
    else
        return "";
}

template <class T, class Visit>
void for_each_member(Visit&& visit) {
    boost::mp11::mp_for_each<Public<T>>([&](auto descriptor) {
        using Member = std::remove_cvref_t<decltype(std::declval<T>().*descriptor.pointer)>;
        visit(std::string(descriptor.name), std::string(unit_suffix<Member>()), descriptor.pointer);
    });
}

template <class T>
std::vector<std::string> member_names() {
    std::vector<std::string> names;
    for_each_member<T>(
        [&](std::string name, const std::string& suffix, auto) { names.push_back(std::move(name) + suffix); });
    return names;
}

/// The names without their unit: what people write.
template <class T>
std::vector<std::string> plain_names() {
    std::vector<std::string> names;
    for_each_member<T>([&](std::string name, const std::string&, auto) { names.push_back(std::move(name)); });
    return names;
}

/// An enumerator's name in JSON: a trailing underscore only keeps it off a C++ keyword (`operator_`, `auto_`).
constexpr std::string_view enumerator_name(std::string_view name) {
    if (name.ends_with('_')) name.remove_suffix(1);
    return name;
}

template <class E>
std::vector<std::string> enumerator_names() {
    std::vector<std::string> names;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
        [&](auto descriptor) { names.emplace_back(enumerator_name(descriptor.name)); });
    return names;
}

inline std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
    if (const std::string near = nearest(word, candidates); !near.empty())
        return fmt::format("did you mean '{}'?", near);
    return fmt::format("known are {}", fmt::join(candidates, ", "));
}

template <class T>
Result<T> wrong_type(std::string_view path, std::string_view expected, const Json& json) {
    return fail(Code::invalid_argument, "{}: expected {}, got {}", path, expected, json.type_name());
}

template <class T>
Result<T> read_integer(const Json& json, std::string_view path) {
    if (!json.is_number_integer()) return wrong_type<T>(path, "a whole number", json);
    if (json.is_number_unsigned()) {
        const auto value = json.get<std::uint64_t>();
        if (std::in_range<T>(value)) return static_cast<T>(value);
    } else if (const auto value = json.get<std::int64_t>(); std::in_range<T>(value)) {
        return static_cast<T>(value);
    }
    return fail(Code::invalid_argument, "{}: {} is out of range ({} to {})", path, dump(json),
                std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
}

template <class E>
Result<E> read_enum(const Json& json, std::string_view path) {
    if (!json.is_string()) return wrong_type<E>(path, "a text", json);
    const auto& word = json.get_ref<const std::string&>();
    std::optional<E> found;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto descriptor) {
        if (word == enumerator_name(descriptor.name)) found = descriptor.value;
    });
    if (found) return *found;
    return fail(Code::invalid_argument, "{}: unknown value '{}'; {}", path, word,
                did_you_mean(word, enumerator_names<E>()));
}

/// A quantity: a whole number in its unit, or for Bytes a text such as "256M".
template <class T>
Result<T> read_quantity(const Json& json, std::string_view path) {
    if constexpr (std::is_same_v<T, Bytes>) {
        if (json.is_string()) {
            auto parsed = parse_bytes(json.get_ref<const std::string&>());
            if (!parsed) return fail(Code::invalid_argument, "{}: {}", path, parsed.error().message());
            return *parsed;
        }
    }
    BALLAST_TRY(const auto count, read_integer<std::int64_t>(json, path));
    return T(count);
}

template <class T>
Result<T> read_object(const Json& json, std::string_view path);

template <class Map>
Result<Map> read_map(const Json& json, std::string_view path) {
    if (!json.is_object()) return wrong_type<Map>(path, "an object", json);
    Map map;
    for (const auto& [key, value] : json.items()) {
        BALLAST_TRY(map[typename Map::key_type(key)],
                    (from_json<typename Map::mapped_type>(value, fmt::format("{}.{}", path, key))));
    }
    return map;
}

template <class Vector>
Result<Vector> read_vector(const Json& json, std::string_view path) {
    if (!json.is_array()) return wrong_type<Vector>(path, "a list", json);
    Vector items;
    for (std::size_t i = 0; i < json.size(); ++i) {
        BALLAST_TRY(auto item, from_json<typename Vector::value_type>(json[i], fmt::format("{}[{}]", path, i)));
        items.push_back(std::move(item));
    }
    return items;
}

template <class T>
Result<T> read_object(const Json& json, std::string_view path) {
    if (!json.is_object()) return wrong_type<T>(path, "an object", json);
    T value{};
    Result<void> outcome{};
    std::size_t used = 0;
    const std::string prefix = path.empty() ? "" : std::string(path) + ".";
    for_each_member<T>([&](const std::string& name, const std::string& suffix, auto member) {
        auto at = json.find(name + suffix);
        if (at == json.end() && !suffix.empty()) at = json.find(name);
        if (at == json.end()) return;
        ++used;
        using Member = std::remove_cvref_t<decltype(value.*member)>;
        auto read = from_json<Member>(*at, prefix + at.key());
        if (read)
            value.*member = *std::move(read);
        else if (outcome)
            outcome = std::unexpected(read.error());
    });
    BALLAST_CHECK(outcome);
    if (used == json.size()) return value;
    const auto names = member_names<T>();
    const auto plain = plain_names<T>();
    for (const auto& [key, unused] : json.items())
        if (std::ranges::find(names, key) == names.end() && std::ranges::find(plain, key) == plain.end())
            return fail(Code::invalid_argument, "{}{}: unknown key; {}", prefix, key, did_you_mean(key, plain));
    return fail(Code::invalid_argument, "{}: a value is given twice, with and without its unit", path);
}

template <class T>
Json schema_of(Json& definitions);

template <class T>
Json object_schema(Json& definitions) {
    Json properties = Json::object();
    for_each_member<T>([&](const std::string& name, const std::string& suffix, auto member) {
        using Member = std::remove_cvref_t<decltype(std::declval<T>().*member)>;
        properties[name + suffix] = schema_of<Member>(definitions);
    });
    return Json{{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
}

/// "ballast::VmSpec" -> "VmSpec", from the compiler's own spelling of the type.
template <class T>
std::string type_name() {
    std::string_view text = __PRETTY_FUNCTION__;
    text.remove_prefix(text.find("T = ") + 4);
    text = text.substr(0, text.find_first_of(";]"));
    if (const auto colon = text.rfind("::"); colon != std::string_view::npos) text.remove_prefix(colon + 2);
    return std::string(text);
}

template <class T>
Json named_schema(Json& definitions) {
    const std::string name = type_name<T>();
    if (!definitions.contains(name)) {
        definitions[name] = Json::object();  // breaks recursion
        Json schema;
        if constexpr (DescribedEnum<T>)
            schema = Json{{"type", "string"}, {"enum", enumerator_names<T>()}};
        else
            schema = object_schema<T>(definitions);
        definitions[name] = std::move(schema);
    }
    return Json{{"$ref", "#/components/schemas/" + name}};
}

template <class T>
Json schema_of(Json& definitions) {
    if constexpr (std::is_same_v<T, bool>)
        return Json{{"type", "boolean"}};
    else if constexpr (std::is_same_v<T, JsonText>)
        return Json::object();
    else if constexpr (std::is_same_v<T, Timestamp>)
        return Json{{"type", "string"}, {"format", "date-time"}};
    else if constexpr (std::is_same_v<T, std::string> || IsId<T>::value)
        return Json{{"type", "string"}};
    else if constexpr (std::is_integral_v<T> || IsQuantity<T>::value || IsDuration<T>::value)
        return Json{{"type", "integer"}, {"format", "int64"}};
    else if constexpr (std::is_floating_point_v<T>)
        return Json{{"type", "number"}};
    else if constexpr (IsOptional<T>::value)
        return Json{{"anyOf", Json::array({schema_of<typename T::value_type>(definitions), Json{{"type", "null"}}})}};
    else if constexpr (IsVector<T>::value)
        return Json{{"type", "array"}, {"items", schema_of<typename T::value_type>(definitions)}};
    else if constexpr (IsMap<T>::value)
        return Json{{"type", "object"}, {"additionalProperties", schema_of<typename T::mapped_type>(definitions)}};
    else
        return named_schema<T>(definitions);
}

}  // namespace json_detail

template <class T>
Json to_json(const T& value) {
    using namespace json_detail;
    if constexpr (std::is_same_v<T, JsonText>)
        return Json::parse(value.text.empty() ? "null" : value.text, nullptr, false);
    else if constexpr (std::is_same_v<T, Timestamp>)
        return to_string(value);
    else if constexpr (IsId<T>::value)
        return value.str();
    else if constexpr (IsQuantity<T>::value || IsDuration<T>::value)
        return static_cast<std::int64_t>(value.count());
    else if constexpr (IsOptional<T>::value)
        return value ? to_json(*value) : Json(nullptr);
    else if constexpr (IsVector<T>::value) {
        Json list = Json::array();
        for (const auto& item : value) list.push_back(to_json<typename T::value_type>(item));
        return list;
    } else if constexpr (IsMap<T>::value) {
        Json map = Json::object();
        for (const auto& [key, item] : value) map[key_text(key)] = to_json(item);
        return map;
    } else if constexpr (DescribedEnum<T>) {
        return std::string(enumerator_name(boost::describe::enum_to_string(value, "unknown")));
    } else if constexpr (Described<T>) {
        Json object = Json::object();
        for_each_member<T>([&](const std::string& name, const std::string& suffix, auto member) {
            object[name + suffix] = to_json(value.*member);
        });
        return object;
    } else {
        return Json(value);
    }
}

template <class T>
Result<T> from_json(const Json& json, std::string_view path) {
    using namespace json_detail;
    if constexpr (std::is_same_v<T, JsonText>) {
        return JsonText{dump(json)};
    } else if constexpr (std::is_same_v<T, Timestamp>) {
        if (!json.is_string()) return wrong_type<T>(path, "a time as text", json);
        auto time = parse_timestamp(json.get_ref<const std::string&>());
        if (!time) return fail(Code::invalid_argument, "{}: {}", path, time.error().message());
        return *time;
    } else if constexpr (std::is_same_v<T, std::string> || IsId<T>::value) {
        if (!json.is_string()) return wrong_type<T>(path, "a text", json);
        return T(json.get_ref<const std::string&>());
    } else if constexpr (IsQuantity<T>::value || IsDuration<T>::value) {
        return read_quantity<T>(json, path);
    } else if constexpr (std::is_same_v<T, bool>) {
        if (!json.is_boolean()) return wrong_type<T>(path, "true or false", json);
        return json.get<bool>();
    } else if constexpr (IsOptional<T>::value) {
        if (json.is_null()) return T{};
        BALLAST_TRY(auto inner, from_json<typename T::value_type>(json, path));
        return T(std::move(inner));
    } else if constexpr (IsVector<T>::value) {
        return read_vector<T>(json, path);
    } else if constexpr (IsMap<T>::value) {
        return read_map<T>(json, path);
    } else if constexpr (DescribedEnum<T>) {
        return read_enum<T>(json, path);
    } else if constexpr (std::is_integral_v<T>) {
        return read_integer<T>(json, path);
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!json.is_number()) return wrong_type<T>(path, "a number", json);
        return json.get<T>();
    } else {
        return read_object<T>(json, path);
    }
}

namespace json_detail {

/// Most texts are ASCII without anything to escape; the others are left to the library.
inline void append_text(std::string& out, std::string_view text) {
    const bool plain =
        std::ranges::all_of(text, [](char c) { return c >= 0x20 && c != 0x7F && c != '"' && c != '\\'; });
    if (plain)
        out.append("\"").append(text).append("\"");
    else
        out += dump(Json(text));
}

template <class T>
void append_json(std::string& out, const T& value);

template <class T>
void append_object(std::string& out, const T& value) {
    char before = '{';
    boost::mp11::mp_for_each<Public<T>>([&](auto descriptor) {
        using Member = std::remove_cvref_t<decltype(value.*descriptor.pointer)>;
        out += before;
        out.append("\"").append(descriptor.name).append(unit_suffix<Member>()).append("\":");
        append_json(out, value.*descriptor.pointer);
        before = ',';
    });
    if (before == '{') out += before;
    out += '}';
}

template <class Items, class Append>
void append_items(std::string& out, const Items& items, char open, char close, Append append) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
        if (!std::exchange(first, false)) out += ',';
        append(item);
    }
    out += close;
}

/// What dump(to_json(value)) gives, without making a tree of it: every put of a row renders it.
template <class T>
void append_json(std::string& out, const T& value) {
    if constexpr (std::is_same_v<T, bool>)
        out += value ? "true" : "false";
    else if constexpr (std::is_integral_v<T>)
        fmt::format_to(std::back_inserter(out), "{}", +value);
    else if constexpr (std::is_same_v<T, std::string>)
        append_text(out, value);
    else if constexpr (std::is_same_v<T, Timestamp>)
        append_text(out, to_string(value));
    else if constexpr (IsId<T>::value)
        append_text(out, value.str());
    else if constexpr (IsQuantity<T>::value || IsDuration<T>::value)
        append_json(out, static_cast<std::int64_t>(value.count()));
    else if constexpr (IsOptional<T>::value) {
        if (value)
            append_json(out, *value);
        else
            out += "null";
    } else if constexpr (IsVector<T>::value)
        append_items(out, value, '[', ']', [&](const typename T::value_type& item) { append_json(out, item); });
    else if constexpr (IsMap<T>::value)
        append_items(out, value, '{', '}', [&](const auto& item) {
            append_text(out, key_text(item.first));
            out += ':';
            append_json(out, item.second);
        });
    else if constexpr (DescribedEnum<T>)
        append_text(out, enumerator_name(boost::describe::enum_to_string(value, "unknown")));
    else if constexpr (std::is_same_v<T, JsonText>)
        out += is_compact_json(value.text) ? value.text : dump(to_json(value));
    else if constexpr (Described<T>)
        append_object(out, value);
    else
        out += dump(to_json(value));
}

}  // namespace json_detail

template <class T>
std::string to_json_text(const T& value) {
    std::string text;
    json_detail::append_json(text, value);
    return text;
}

template <class T>
Result<T> parse_as(std::string_view text, std::string_view path) {
    BALLAST_TRY(const Json json, parse_json(text, JsonLimits{.bytes = std::size_t{256} << 20U, .depth = 256}));
    return from_json<T>(json, path);
}

/// The schema of T, and of every named type it refers to, added to `definitions`.
template <class T>
Json json_schema_into(Json& definitions) {
    return json_detail::schema_of<T>(definitions);
}

template <class T>
Json json_schema() {
    Json definitions = Json::object();
    return json_schema_into<T>(definitions);
}

}  // namespace ballast

/// In one .cpp of the module that owns the type, inside namespace ballast.
#define BALLAST_INSTANTIATE_JSON(Type)                                        \
    template Json to_json<Type>(const Type&);                                 \
    template Result<Type> from_json<Type>(const Json&, std::string_view);     \
    template std::string to_json_text<Type>(const Type&);                     \
    template Result<Type> parse_as<Type>(std::string_view, std::string_view); \
    template Json json_schema<Type>();
