#include "cli/document.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <yaml-cpp/yaml.h>

#include "core/try.h"
#include "core/vm.h"

namespace ballast::cli {
namespace {

constexpr std::size_t deepest = 32;
constexpr std::size_t most_values = 100'000;
constexpr std::size_t largest = std::size_t{1} << 20U;

std::string place(std::string_view file, const YAML::Node& node) {
    return node.Mark().is_null() ? std::string(file) : fmt::format("{}:{}", file, node.Mark().line + 1);
}

/// A scalar as the YAML 1.2 core schema reads it; a quoted one stays text.
Json scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;
    if (text == "true" || text == "True") return true;
    if (text == "false" || text == "False") return false;
    if (text == "null" || text == "~" || text.empty()) return nullptr;
    std::int64_t whole = 0;
    const char* const last = text.data() + text.size();
    if (const auto [end, error] = std::from_chars(text.data(), last, whole); error == std::errc{} && end == last)
        return whole;
    double real = 0;
    if (const auto [end, error] = std::from_chars(text.data(), last, real); error == std::errc{} && end == last)
        return real;
    return text;
}

/// Aliases may multiply what a document says: its size after expansion is bounded, too.
Result<Json> to_json_node(const YAML::Node& node, std::string_view file, std::size_t depth, std::size_t& budget) {
    if (budget-- == 0) return fail(Code::invalid_argument, "{} has more than {} values", file, most_values);
    if (depth > deepest) return fail(Code::invalid_argument, "{}: nested deeper than {}", place(file, node), deepest);
    if (node.IsMap()) {
        Json object = Json::object();
        for (const auto& item : node) {
            if (!item.first.IsScalar())
                return fail(Code::invalid_argument, "{}: a key must be a word", place(file, item.first));
            const std::string& key = item.first.Scalar();
            if (object.contains(key))
                return fail(Code::invalid_argument, "{}: '{}' stands twice", place(file, item.first), key);
            BALLAST_TRY(object[key], to_json_node(item.second, file, depth + 1, budget));
        }
        return object;
    }
    if (node.IsSequence()) {
        Json list = Json::array();
        for (const auto& item : node) {
            BALLAST_TRY(auto value, to_json_node(item, file, depth + 1, budget));
            list.push_back(std::move(value));
        }
        return list;
    }
    return node.IsScalar() ? scalar(node) : Json(nullptr);
}

/// Labels are texts: 'tier: 1' means "1".
void stringify_labels(Json& spec) {
    for (const char* key : {"labels", "host_labels"}) {
        const auto at = spec.find(key);
        if (at == spec.end() || !at->is_object()) continue;
        for (auto& [name, value] : at->items())
            if (value.is_number() || value.is_boolean()) value = dump(value);
    }
}

/// What the document says, in the API's own form ("memory: 256M" becomes memory_bytes), and nothing that it does not
/// say.
Json in_api_form(const Json& said, const Json& full) {
    if (said.is_array() && full.is_array() && said.size() == full.size()) {
        Json out = Json::array();
        for (std::size_t i = 0; i < said.size(); ++i) out.push_back(in_api_form(said[i], full[i]));
        return out;
    }
    if (!said.is_object() || !full.is_object()) return full;
    Json out = Json::object();
    for (const auto& [key, value] : said.items())
        for (const char* unit : {"", "_bytes", "_bytes_per_second", "_ms", "_s", "_watts"})
            if (full.contains(key + unit)) out[key + unit] = in_api_form(value, full[key + unit]);
    return out;
}

Result<void> check_keys(const Json& document, const std::string& where) {
    const std::array<std::string, 5> known{"kind", "name", "spec", "host", "start"};
    for (const auto& [key, value] : document.items()) {
        if (std::ranges::find(known, key) != known.end()) continue;
        const std::string near = nearest(key, known);
        return fail(Code::invalid_argument, "{}: unknown key '{}'; {}", where, key,
                    near.empty() ? "known are kind, name, spec, host, start" : fmt::format("did you mean '{}'?", near));
    }
    return {};
}

Result<std::string> text_of(const Json& document, const char* key, const std::string& where, bool needed) {
    const auto at = document.find(key);
    if (at == document.end() && !needed) return std::string{};
    if (at == document.end()) return fail(Code::invalid_argument, "{}: '{}' is missing", where, key);
    if (at->is_string()) return at->get<std::string>();
    if (at->is_number()) return dump(*at);
    return fail(Code::invalid_argument, "{}: {}: expected a text, got {}", where, key, at->type_name());
}

Result<Document> make_document(const Json& json, const std::string& where) {
    if (!json.is_object())
        return fail(Code::invalid_argument, "{}: a document is kind, name and spec, not {}", where, json.type_name());
    BALLAST_CHECK(check_keys(json, where));
    Document document;
    document.where = where;
    BALLAST_TRY(document.kind, text_of(json, "kind", where, true));
    if (document.kind != "vm")
        return fail(Code::invalid_argument, "{}: kind: unknown value '{}'; known is 'vm'", where, document.kind);
    BALLAST_TRY(document.name, text_of(json, "name", where, true));
    BALLAST_TRY(document.host, text_of(json, "host", where, false));
    const Json start = json.value("start", Json(true));
    if (!start.is_boolean())
        return fail(Code::invalid_argument, "{}: start: expected true or false, got {}", where, start.type_name());
    document.start = start.get<bool>();
    document.spec = json.value("spec", Json::object());
    if (document.spec.is_object()) stringify_labels(document.spec);
    const auto spec = from_json<VmSpec>(document.spec, "spec");
    if (!spec) return fail(Code::invalid_argument, "{}: {}", where, spec.error().message());
    if (const auto sound = check(*spec); !sound)
        return fail(Code::invalid_argument, "{}: spec: {}", where, sound.error().message());
    document.spec = in_api_form(document.spec, to_json(*spec));
    return document;
}

}  // namespace

Result<std::vector<Document>> parse_documents(std::string_view yaml, std::string_view file) {
    if (yaml.size() > largest)
        return fail(Code::invalid_argument, "{} is larger than {}", file, Bytes(static_cast<std::int64_t>(largest)));
    std::vector<Document> documents;
    std::size_t budget = most_values;
    try {
        for (const auto& node : YAML::LoadAll(std::string(yaml))) {
            if (node.IsNull()) continue;
            BALLAST_TRY(const auto json, to_json_node(node, file, 0, budget));
            BALLAST_TRY(auto document, make_document(json, place(file, node)));
            documents.push_back(std::move(document));
        }
    } catch (const YAML::Exception& error) {
        return fail(Code::invalid_argument, "{}:{}: this is not YAML: {}", file, error.mark.line + 1, error.msg);
    }
    if (documents.empty()) return fail(Code::invalid_argument, "{} holds no document", file);
    return documents;
}

}  // namespace ballast::cli
