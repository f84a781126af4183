#include "daemon/config/config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <unistd.h>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <toml++/toml.h>

#include "core/json.h"
#include "core/try.h"
#include "daemon/config/keys.h"
#include "daemon/config/labels.h"
#include "daemon/config/policies.h"

namespace ballast::config {
namespace {

std::string_view type_text(toml::node_type type) {
    switch (type) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "a list with other things than texts";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time:
            return "a date or time";
        case toml::node_type::none:
        case toml::node_type::string:
        case toml::node_type::integer:
        case toml::node_type::floating_point:
        case toml::node_type::boolean:
            break;
    }
    return "something else";
}

Raw raw_list(const toml::array& list) {
    std::vector<std::string> texts;
    for (const auto& item : list) {
        const auto text = item.value_exact<std::string>();
        if (!text) return Other{std::string(type_text(toml::node_type::array))};
        texts.push_back(*text);
    }
    return texts;
}

Raw raw_of(const toml::node& node) {
    if (const auto value = node.value_exact<bool>()) return *value;
    if (const auto value = node.value_exact<std::int64_t>()) return *value;
    if (const auto value = node.value_exact<double>()) return *value;
    if (const auto value = node.value_exact<std::string>()) return *value;
    if (const auto* list = node.as_array()) return raw_list(*list);
    return Other{std::string(type_text(node.type()))};
}

Result<void> assign(Config& config, const Key& key, const Raw& raw, const std::string& where) {
    const auto outcome = key.read(config, raw);
    if (outcome) return {};
    return fail(Code::invalid_argument, "{}: {}: {}", where, key.path(), outcome.error().message());
}

/// The tables of a list such as [[migration.label]].
Result<std::vector<const toml::table*>> tables_of(const toml::node& node, std::string_view path,
                                                  std::string_view name) {
    std::vector<const toml::table*> tables;
    const auto* list = node.as_array();
    if (list == nullptr || !list->is_homogeneous<toml::table>())
        return fail(Code::invalid_argument, "{}:{}: write [[{}]] on a line of its own for each of them", name,
                    node.source().begin.line, path);
    for (const auto& table : *list) tables.push_back(table.as_table());
    return tables;
}

/// One [[migration.label]] table.
Result<MigrationLabel> read_label(const toml::table& table, std::string_view name) {
    MigrationLabel label;
    for (const auto& [key, node] : table) {
        const std::string where = fmt::format("{}:{}", name, key.source().begin.line);
        const auto outcome = set_label_field(label, key.str(), raw_of(node));
        if (!outcome) return fail(Code::invalid_argument, "{}: {}", where, outcome.error().message());
    }
    if (label.key.empty() || label.value.empty())
        return fail(Code::invalid_argument, "{}:{}: [[migration.label]] needs `key` and `value` of the label it is for",
                    name, table.source().begin.line);
    return label;
}

Result<void> read_labels(Config& config, const toml::node& node, std::string_view name) {
    BALLAST_TRY(const auto tables, tables_of(node, "migration.label", name));
    for (const auto* table : tables) {
        BALLAST_TRY(auto label, read_label(*table, name));
        config.migration.labels.push_back(std::move(label));
    }
    return {};
}

/// One [[placement.policies]] table.
Result<PlacementPolicy> read_policy(const toml::table& table, std::string_view name) {
    PlacementPolicy policy;
    for (const auto& [key, node] : table) {
        const auto outcome = set_policy_field(policy, key.str(), raw_of(node));
        if (!outcome)
            return fail(Code::invalid_argument, "{}:{}: {}", name, key.source().begin.line, outcome.error().message());
    }
    if (policy.name.empty())
        return fail(Code::invalid_argument, "{}:{}: [[placement.policies]] needs the `name` that VMs call it by", name,
                    table.source().begin.line);
    return policy;
}

Result<void> read_policies(Config& config, const toml::node& node, std::string_view name) {
    BALLAST_TRY(const auto tables, tables_of(node, "placement.policies", name));
    auto& policies = config.placement.policies;
    for (const auto* table : tables) {
        BALLAST_TRY(auto policy, read_policy(*table, name));
        if (std::ranges::find(policies, policy.name, &PlacementPolicy::name) != policies.end())
            return fail(Code::invalid_argument,
                        "{}:{}: [[placement.policies]] has '{}' twice; give each a name of its own", name,
                        table->source().begin.line, policy.name);
        policies.push_back(std::move(policy));
    }
    return {};
}

Result<void> read_section(Config& config, const std::string& section, const toml::table& table, std::string_view name) {
    for (const auto& [key_text, node] : table) {
        const std::string path = fmt::format("{}.{}", section, key_text.str());
        const std::string where = fmt::format("{}:{}", name, key_text.source().begin.line);
        if (path == "migration.label") {
            BALLAST_CHECK(read_labels(config, node, name));
            continue;
        }
        if (path == "placement.policies") {
            BALLAST_CHECK(read_policies(config, node, name));
            continue;
        }
        const Key* key = find_key(path);
        if (key == nullptr) return fail(Code::invalid_argument, "{}: {}", where, unknown_key(path));
        BALLAST_CHECK(assign(config, *key, raw_of(node), where));
    }
    return {};
}

Result<void> unknown_section(std::string_view section, const std::string& where) {
    std::vector<std::string> known;
    for (const auto& known_section : sections()) known.push_back(known_section.name);
    const std::string near = nearest(section, known);
    const std::string hint =
        near.empty() ? fmt::format("known are {}", fmt::join(known, ", ")) : fmt::format("did you mean '[{}]'?", near);
    return fail(Code::invalid_argument, "{}: unknown section '[{}]'; {}", where, section, hint);
}

Result<void> read_table(Config& config, const toml::table& root, std::string_view name) {
    for (const auto& [key, node] : root) {
        const std::string section(key.str());
        const std::string where = fmt::format("{}:{}", name, key.source().begin.line);
        if (std::ranges::find(sections(), section, &SectionDoc::name) == sections().end()) {
            if (node.is_table()) return unknown_section(section, where);
            return fail(Code::invalid_argument, "{}: {}", where, unknown_key(section));
        }
        if (!node.is_table())
            return fail(Code::invalid_argument, "{}: '{}' is a section: write [{}] on a line of its own", where,
                        section, section);
        BALLAST_CHECK(read_section(config, section, *node.as_table(), name));
    }
    return {};
}

Result<void> read_toml(Config& config, std::string_view text, std::string_view name) {
    try {
        const toml::table root = toml::parse(text, name);
        return read_table(config, root, name);
    } catch (const toml::parse_error& error) {
        return fail(Code::invalid_argument, "{}:{}: this is not TOML: {}", name, error.source().begin.line,
                    error.description());
    }
}

/// Only variables of a known section are looked at: BALLAST_URL and its like belong to the command line.
Result<void> read_environment(Config& config, const std::map<std::string, std::string>& environment) {
    std::vector<std::string> known;
    for (const auto& key : keys()) known.push_back(key.variable());
    for (const auto& [name, value] : environment) {
        const bool ours = std::ranges::any_of(keys(), [&](const Key& key) {
            return name.starts_with(key.variable().substr(0, std::string("BALLAST_").size() + key.section.size() + 1));
        });
        if (!ours) continue;
        const auto at = std::ranges::find(keys(), name, &Key::variable);
        if (at == keys().end()) {
            const std::string near = nearest(name, known);
            return fail(Code::invalid_argument, "environment: unknown variable '{}'{}", name,
                        near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
        }
        BALLAST_CHECK(assign(config, *at, Text{value}, "environment " + name));
    }
    return {};
}

Result<void> read_sets(Config& config, const std::vector<std::string>& sets) {
    for (const auto& set : sets) {
        const auto equals = set.find('=');
        if (equals == std::string::npos)
            return fail(Code::invalid_argument, "--set {}: write it as section.key=value, for example server.port=8471",
                        set);
        const std::string path = set.substr(0, equals);
        const Key* key = find_key(path);
        if (key == nullptr) return fail(Code::invalid_argument, "--set {}: {}", set, unknown_key(path));
        BALLAST_CHECK(assign(config, *key, Text{set.substr(equals + 1)}, "--set " + set));
    }
    return {};
}

/// What no single key can check.
Result<void> check(const Config& config) {
    boost::system::error_code error;
    boost::asio::ip::make_address(config.server.listen, error);
    if (error)
        return fail(Code::invalid_argument,
                    "server.listen: '{}' is no IP address; write 127.0.0.1, 0.0.0.0, ::1 or an address of this machine",
                    config.server.listen);
    if (config.server.certificate.empty() != config.server.key.empty())
        return fail(Code::invalid_argument, "server.{} is set but server.{} is not: a certificate needs its key",
                    config.server.key.empty() ? "certificate" : "key",
                    config.server.key.empty() ? "key" : "certificate");
    if (config.store.path.empty())
        return fail(Code::invalid_argument, "store.path is empty: name the database file, for example {}",
                    StoreConfig{}.path);
    if (config.limits.event_streams > config.limits.connections)
        return fail(Code::invalid_argument, "limits.event_streams ({}) is more than limits.connections ({})",
                    config.limits.event_streams, config.limits.connections);
    return {};
}

Result<Config> overridden(Config config, const Sources& sources) {
    BALLAST_CHECK(read_environment(config, sources.environment));
    BALLAST_CHECK(read_sets(config, sources.sets));
    BALLAST_CHECK(check(config));
    return config;
}

}  // namespace

Result<Config> parse(std::string_view toml, std::string_view name, const Sources& overrides) {
    Config config;
    BALLAST_CHECK(read_toml(config, toml, name));
    return overridden(std::move(config), overrides);
}

Result<Config> load(const Sources& sources) {
    const std::string path = sources.file.value_or(default_path);
    std::error_code ignored;
    const bool is_file = std::filesystem::is_regular_file(path, ignored);
    if (!is_file && !sources.file) return overridden(Config{}, sources);
    if (!is_file)
        return fail(Code::not_found,
                    "there is no configuration file '{}'; `ballastd --print-sample-config > {}` makes one", path, path);
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return fail(Code::permission_denied, "the configuration file '{}' can't be read", path);
    return parse(text.str(), path, sources);
}

std::map<std::string, std::string> process_environment() {
    std::map<std::string, std::string> variables;
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        const std::string_view line(*at);
        const auto equals = line.find('=');
        if (equals != std::string_view::npos)
            variables.emplace(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
    }
    return variables;
}

std::string uploads_folder(const Config& config) {
    if (!config.store.uploads.empty()) return config.store.uploads;
    return (std::filesystem::path(config.store.path).parent_path() / "uploads").string();
}

}  // namespace ballast::config
