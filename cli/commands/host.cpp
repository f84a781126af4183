#include "cli/commands/commands.h"
#include "cli/commands/placement_flags.h"
#include "cli/commands/rebalance.h"

namespace ballast::cli {
namespace {

constexpr const char* hosts = "/api/v1/hosts";

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}", hosts, encoded(name));
}

/// What may be said of a host at `add` and `set`; empty: not said.
struct Settings {
    std::vector<std::string> labels;
    std::vector<std::string> taints;
    bool no_taints = false;
    std::vector<std::string> devices;
    int idle_power = -1;
    int max_power = -1;
    std::string reserved_memory;
    std::string memory;
    int reserved_cpus = -1;
    int cpus = -1;
    double overcommit = -1;
    std::string accelerator;
    std::string peer_uri;
    std::string migration_address;
    std::string link_speed;
    std::string memory_policy;
    std::string exporter;
};

void add_settings(CLI::App& command, Settings& settings) {
    command.add_option("--label", settings.labels, "key=value; may be repeated. `key=` removes it")
        ->allow_extra_args(false)
        ->type_name("K=V");
    command
        .add_option("--taint", settings.taints,
                    "key[=value][:no_place|avoid|evacuate]; may be repeated: these and no others")
        ->allow_extra_args(false)
        ->type_name("TAINT");
    command.add_flag("--no-taints", settings.no_taints, "Take all its taints away");
    command.add_option("--device", settings.devices, "kind=count that VMs may be given; may be repeated")
        ->allow_extra_args(false)
        ->type_name("K=N");
    command.add_option("--idle-power", settings.idle_power, "Watts that it draws doing nothing")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--max-power", settings.max_power, "Watts that it draws with every core busy")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--reserved-memory", settings.reserved_memory, "Memory kept for the host itself (2G)")
        ->type_name("SIZE");
    command.add_option("--memory", settings.memory, "Count this much memory instead of what the host reports")
        ->type_name("SIZE");
    command.add_option("--reserved-cpus", settings.reserved_cpus, "Cores kept for the host itself")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--cpus", settings.cpus, "Count this many cores instead of what the host reports")
        ->check(CLI::PositiveNumber);
    command.add_option("--cpu-overcommit", settings.overcommit, "vCPUs promised per usable core")
        ->check(CLI::PositiveNumber);
    command.add_option("--accelerator", settings.accelerator, "auto, kvm or tcg")
        ->check(CLI::IsMember({"auto", "kvm", "tcg"}));
    command.add_option("--peer-uri", settings.peer_uri, "The libvirt URI by which the other hosts reach it")
        ->type_name("URI");
    command.add_option("--migration-address", settings.migration_address, "Address for the migration stream");
    command.add_option("--link-speed", settings.link_speed, "Speed of its link in bytes per second (125M is 1 Gbit/s)")
        ->type_name("SIZE");
    command
        .add_option("--memory-policy", settings.memory_policy,
                    "none, gentle, balanced or dense; default: as its labels or the configuration say")
        ->check(CLI::IsMember({"none", "gentle", "balanced", "dense", "default"}))
        ->type_name("POLICY");
    command
        .add_option(
            "--exporter", settings.exporter,
            "Its Prometheus node exporter (http://node1:9100/metrics), for pressure and swapping; none: no more")
        ->type_name("URL");
}

Result<Json> settings_json(const Settings& settings, bool patch) {
    Json json = Json::object();
    BALLAST_TRY(const auto labels, parse_labels(settings.labels));
    for (const auto& [key, value] : labels.items()) {
        const bool removes = patch && value.get_ref<const std::string&>().empty();
        json["labels"][key] = removes ? Json() : value;
    }
    if (settings.no_taints || !settings.taints.empty()) {
        BALLAST_TRY(json["taints"], taints_json(settings.taints));
    }
    if (!settings.devices.empty()) {
        BALLAST_TRY(json["devices"], device_counts("--device", settings.devices));
    }
    if (settings.idle_power >= 0) json["idle_power_watts"] = settings.idle_power;
    if (settings.max_power >= 0) json["max_power_watts"] = settings.max_power;
    const auto size = [&](const char* key, const char* flag, const std::string& text) -> Result<void> {
        if (text.empty()) return {};
        BALLAST_TRY(json[key], size_json(flag, text));
        return {};
    };
    BALLAST_CHECK(size("reserved_memory_bytes", "--reserved-memory", settings.reserved_memory));
    BALLAST_CHECK(size("memory_capacity_bytes", "--memory", settings.memory));
    BALLAST_CHECK(size("link_speed_bytes_per_second", "--link-speed", settings.link_speed));
    if (settings.reserved_cpus >= 0) json["reserved_cpus"] = settings.reserved_cpus;
    if (settings.cpus > 0) json["cpu_capacity"] = settings.cpus;
    if (settings.overcommit > 0) json["cpu_overcommit"] = settings.overcommit;
    if (!settings.accelerator.empty()) json["accelerator"] = settings.accelerator;
    if (!settings.peer_uri.empty()) json["peer_uri"] = settings.peer_uri;
    if (!settings.migration_address.empty()) json["migration_address"] = settings.migration_address;
    if (settings.memory_policy == "default")
        json["memory_policy"] = nullptr;
    else if (!settings.memory_policy.empty())
        json["memory_policy"] = settings.memory_policy;
    if (!settings.exporter.empty()) json["exporter"] = settings.exporter == "none" ? "" : settings.exporter;
    return json;
}

/// "qemu+tls://node1.example.org/system" -> "node1"
std::string name_from(const std::string& uri) {
    const auto begin = uri.find("://");
    if (begin == std::string::npos) return {};
    std::string host = uri.substr(begin + 3, uri.find_first_of("/:?", begin + 3) - begin - 3);
    if (const auto user = host.find('@'); user != std::string::npos) host.erase(0, user + 1);
    const bool address = host.find_first_not_of("0123456789.") == std::string::npos;
    return address ? host : host.substr(0, host.find('.'));
}

struct AddOptions {
    std::string uri;
    std::string name;
    bool manage = false;
    Settings settings;
};

Outcome<> add(Session& session, const AddOptions& options) {
    const std::string name = options.name.empty() ? name_from(options.uri) : options.name;
    if (name.empty())
        return failing(Exit::usage, fmt::format("'{}' holds no host name to call it by", options.uri),
                       "add --name NAME");
    BALLAST_TRY(auto settings, settings_json(options.settings, false));
    BALLAST_TRY(Api* const api, session.api());
    const Json body{
        {"name", name}, {"uri", options.uri}, {"managed", options.manage}, {"settings", std::move(settings)}};
    BALLAST_TRY(const auto answer, api->write("POST", std::string(hosts) + "?wait=true", body));
    const std::string state = text_at(answer.body, "state");
    const std::string reason = text_at(answer.body, "state_reason");
    return finish_job(session, answer,
                      fmt::format("{} was added {}; it is {}{}", name,
                                  options.manage ? "as managed" : "as observed: nothing on it is changed", state,
                                  reason.empty() ? "" : " (" + reason + ")"));
}

/// Only what was said goes out (RFC 7396): null takes a label away.
Outcome<> set(Session& session, const std::string& name, const Settings& settings) {
    BALLAST_TRY(auto patch, settings_json(settings, true));
    if (patch.empty()) return failing(Exit::usage, "no setting is named", "`ballast host set --help` lists them");
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("PATCH", path_of(name), Json{{"settings", std::move(patch)}}));
    return finish_job(session, answer, fmt::format("the settings of {} were changed", name));
}

Outcome<> verb(Session& session, const std::string& name, const std::string& action, const Json& body,
               const std::string& done) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(name) + "/" + action, body));
    return finish_job(session, answer, done);
}

Outcome<> confirm_dead(Session& session, const std::string& name, const std::string& reason) {
    BALLAST_CHECK(session.confirm(fmt::format(
        "Is {} really down, all of its VMs with it? They may be started elsewhere afterwards; if one still runs there, "
        "its disks are written twice.",
        name)));
    return verb(session, name, "confirm-dead", Json{{"name", name}, {"reason", reason}},
                fmt::format("{} is confirmed dead: its VMs may be started elsewhere", name));
}

Outcome<> remove(Session& session, const std::string& name) {
    BALLAST_CHECK(session.confirm(fmt::format("Remove {} from Ballast? No VM on it is touched.", name)));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("DELETE", path_of(name), Json()));
    return finish_job(session, answer, fmt::format("{} was removed from Ballast; its VMs run on", name));
}

void add_quarantine(CLI::App& host, Session& session) {
    struct Options {
        std::string reason;
        bool force = false;
    };
    const auto options = std::make_shared<Options>();
    CLI::App* command = named(host, "resolve-quarantine", "Let a host that was confirmed dead and came back work again",
                              session, [options](Session& s, const std::string& name) {
                                  return verb(s, name, "resolve-quarantine",
                                              Json{{"reason", options->reason}, {"force", options->force}},
                                              fmt::format("{} works again", name));
                              });
    command->add_option("--reason", options->reason, "What was checked; kept in the audit log")->required();
    command->add_flag("--force", options->force, "Even though it runs copies of VMs that belong to other hosts now");
}

void add_maintenance(CLI::App& host, Session& session) {
    const auto off = std::make_shared<bool>(false);
    const auto keep = std::make_shared<bool>(false);
    CLI::App* maintenance = named(
        host, "maintenance", "Empty a host and place nothing new on it (--off: again)", session,
        [off, keep](Session& s, const std::string& name) {
            if (*off)
                return verb(s, name, "maintenance-end", Json::object(), fmt::format("{} takes new work again", name));
            if (*keep)
                return verb(s, name, "maintenance", Json::object(), fmt::format("nothing new is placed on {}", name));
            return empty_host(s, name);
        });
    CLI::Option* ends = maintenance->add_flag("--off", *off, "End the maintenance");
    maintenance->add_flag("--keep", *keep, "Leave what runs there where it is")->excludes(ends);
}

void add_states(CLI::App& host, Session& session) {
    named(host, "manage", "Let Ballast act on a host that was only observed", session,
          [](Session& s, const std::string& name) {
              return verb(
                  s, name, "manage", Json::object(),
                  fmt::format("{} is managed now; VMs that were there stay observed until `ballast vm adopt`", name));
          });
    named(host, "observe", "Only watch a host; Ballast changes nothing on it", session,
          [](Session& s, const std::string& name) {
              return verb(s, name, "observe", Json::object(), fmt::format("{} is only observed now", name));
          });
    add_maintenance(host, session);
    const auto reason = std::make_shared<std::string>();
    CLI::App* dead = named(host, "confirm-dead", "Declare that a host is down, so that its VMs are released", session,
                           [reason](Session& s, const std::string& name) { return confirm_dead(s, name, *reason); });
    dead->add_option("--reason", *reason, "How it is known; kept in the audit log")->required();
    add_quarantine(host, session);
    named(host, "remove", "Forget a host; no VM on it is touched", session, remove);
}

}  // namespace

void add_host_commands(CLI::App& app, Session& session) {
    CLI::App& host = group(app, "host", "Hosts: add, watch, manage, check");
    const auto options = std::make_shared<AddOptions>();
    CLI::App* adding = host.add_subcommand("add", "Add a libvirt host (observed unless --manage)");
    adding->add_option("uri", options->uri, "Its libvirt URI, for example qemu+tls://node1/system")
        ->required()
        ->type_name("");
    adding->add_option("--name", options->name, "What to call it; default: from the URI");
    adding->add_flag("--manage", options->manage, "Let Ballast act on it at once");
    add_settings(*adding, options->settings);
    on(adding, session, [options](Session& s) { return add(s, *options); });

    const auto filter = std::make_shared<std::string>();
    CLI::App* list = host.add_subcommand("list", "All hosts");
    list->add_option("--state", *filter, "Only hosts in this state");
    on(list, session, [filter](Session& s) {
        const std::string query = Query().add("state", *filter).add("sort", "name").str();
        return s.print_list(host_view(), [query](Api& api) { return api.list(hosts + query); });
    });
    named(host, "show", "Everything about one host", session, [](Session& s, const std::string& name) {
        return s.print_one(host_view(), [&name](Api& api) { return read_row(api, path_of(name)); });
    });
    const auto settings = std::make_shared<Settings>();
    CLI::App* setting = named(host, "set", "Change the settings of a host", session,
                              [settings](Session& s, const std::string& name) { return set(s, name, *settings); });
    add_settings(*setting, *settings);
    add_states(host, session);
    add_host_memory_command(host, session);
    add_evacuate_command(host, session);
    add_pair_commands(host, session);
}

}  // namespace ballast::cli
