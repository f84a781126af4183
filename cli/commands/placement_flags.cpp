#include "cli/commands/placement_flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

Result<int> count_of(const char* flag, const std::string& word, std::string_view text) {
    int count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error == std::errc{} && end == text.data() + text.size() && count >= 0) return count;
    return fail(Code::invalid_argument, "{} {}: '{}' is no count", flag, word, text);
}

/// "key[=value][:effect]" in its parts; what is not said is absent.
Result<Json> taint_words(const char* flag, const std::string& word) {
    constexpr std::array<std::string_view, 3> effects{"no_place", "avoid", "evacuate"};
    std::string rest = word;
    Json json = Json::object();
    if (const auto colon = rest.rfind(':'); colon != std::string::npos) {
        const std::string effect = rest.substr(colon + 1);
        if (std::ranges::find(effects, effect) == effects.end())
            return fail(Code::invalid_argument, "{} {}: unknown effect '{}'; known are {}", flag, word, effect,
                        fmt::join(effects, ", "));
        json["effect"] = effect;
        rest.resize(colon);
    }
    const auto equals = rest.find('=');
    json["key"] = rest.substr(0, equals);
    if (equals != std::string::npos) json["value"] = rest.substr(equals + 1);
    return json;
}

/// "apart=db", "together=web,zone,should", "limit=oracle,2".
Result<Json> affinity_term(const std::string& text) {
    constexpr std::array<std::string_view, 4> kinds{"together", "apart", "limit", "spread"};
    std::istringstream parts(text);
    std::string first;
    std::getline(parts, first, ',');
    const auto equals = first.find('=');
    const std::string kind = first.substr(0, equals);
    if (equals == std::string::npos || std::ranges::find(kinds, kind) == kinds.end())
        return fail(Code::invalid_argument, "--affinity {}: begin with KIND=GROUP; kinds are {}", text,
                    fmt::join(kinds, ", "));
    Json term{{"kind", kind}, {"group", first.substr(equals + 1)}};
    for (std::string part; std::getline(parts, part, ',');) {
        if (part == "must" || part == "should") {
            term["strength"] = part;
        } else if (part == "host" || part == "zone") {
            term["scope"] = part;
        } else {
            BALLAST_TRY(term["limit"], count_of("--affinity", text, part));
        }
    }
    return term;
}

}  // namespace

Result<Json> taints_json(const std::vector<std::string>& words) {
    Json list = Json::array();
    for (const auto& word : words) {
        BALLAST_TRY(auto taint, taint_words("--taint", word));
        list.push_back(std::move(taint));
    }
    return list;
}

Result<Json> device_counts(const char* flag, const std::vector<std::string>& words) {
    Json counts = Json::object();
    for (const auto& word : words) {
        const auto equals = word.find('=');
        const std::string text = equals == std::string::npos ? "1" : word.substr(equals + 1);
        BALLAST_TRY(counts[word.substr(0, equals)], count_of(flag, word, text));
    }
    return counts;
}

void add_placement_flags(CLI::App& command, PlacementFlags& flags) {
    const auto many = [&](const char* name, std::vector<std::string>& into, const char* words, const char* type) {
        command.add_option(name, into, words)->allow_extra_args(false)->type_name(type);
    };
    many("--group", flags.groups, "It is a member of this group of VMs; may be repeated", "GROUP");
    many("--affinity", flags.affinity,
         "together, apart, limit or spread=GROUP[,should][,zone][,N]: how the VMs of a group share hosts or zones; may "
         "be repeated",
         "TERM");
    many("--on-host", flags.hosts, "It runs only on these hosts; may be repeated", "HOST");
    many("--tolerate", flags.tolerations, "It bears the taint key[=value][:effect]; may be repeated", "TAINT");
    many("--device", flags.devices, "It needs this kind of device: kind[=count]; may be repeated", "K=N");
    many("--cpu-feature", flags.cpu_features, "The host's CPU must have it; may be repeated", "FEATURE");
    command.add_option("--hugepages", flags.hugepages, "Its memory in pages of this size (2M, 1G)")->type_name("SIZE");
    command.add_option("--numa-cells", flags.numa_cells, "It lies on so many NUMA cells")->check(CLI::Range(1, 64));
    command.add_flag("--numa-pinned", flags.numa_pinned, "with each vCPU on a core of its own");
    command.add_option("--policy", flags.policy, "How hosts are compared: spread, pack, latency, power, or an own one")
        ->type_name("NAME");
}

Result<Json> placement_json(const PlacementFlags& flags) {
    Json json = Json::object();
    if (!flags.groups.empty()) json["groups"] = flags.groups;
    for (const auto& text : flags.affinity) {
        BALLAST_TRY(auto term, affinity_term(text));
        json["affinity"].push_back(std::move(term));
    }
    if (!flags.hosts.empty()) json["hosts"] = flags.hosts;
    for (const auto& word : flags.tolerations) {
        BALLAST_TRY(auto borne, taint_words("--tolerate", word));
        json["tolerations"].push_back(std::move(borne));
    }
    if (!flags.devices.empty()) {
        BALLAST_TRY(json["devices"], device_counts("--device", flags.devices));
    }
    if (!flags.cpu_features.empty()) json["cpu_features"] = flags.cpu_features;
    if (!flags.hugepages.empty()) {
        BALLAST_TRY(json["hugepage_size_bytes"], size_json("--hugepages", flags.hugepages));
    }
    if (flags.numa_cells > 0 || flags.numa_pinned)
        json["numa"] = Json{{"cells", flags.numa_cells}, {"pinned", flags.numa_pinned}};
    if (!flags.policy.empty()) json["policy"] = flags.policy;
    return json;
}

}  // namespace ballast::cli
