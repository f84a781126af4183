#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/vm_flags.h"

namespace ballast::cli {
namespace {

constexpr const char* vms = "/api/v1/vms";

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}", vms, encoded(name));
}

Outcome<> verb(Session& session, const std::string& name, const std::string& action, const Json& body,
               const std::string& done) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(name) + "/" + action, body));
    return finish_job(session, answer, fmt::format("{} {}", name, done));
}

void add_power(CLI::App& vm, Session& session) {
    const auto host = std::make_shared<std::string>();
    CLI::App* start = named(vm, "start", "Start a VM", session, [host](Session& s, const std::string& name) {
        return verb(s, name, "start", host->empty() ? Json::object() : Json{{"host", *host}}, "runs");
    });
    start->add_option("--host", *host, "Start it there, if its disks allow");

    struct Shutdown {
        int grace = 60;
        bool force = false;
    };
    const auto options = std::make_shared<Shutdown>();
    CLI::App* shutdown = named(
        vm, "shutdown", "Ask the guest to shut down (ACPI)", session, [options](Session& s, const std::string& name) {
            return verb(s, name, "shutdown", Json{{"timeout_s", options->grace}, {"force", options->force}}, "is off");
        });
    shutdown->add_option("--grace", options->grace, "Seconds that the guest has")->check(CLI::Range(1, 3'600));
    shutdown->add_flag("--force", options->force, "Cut it off when the grace is over");
    named(vm, "reboot", "Restart a VM's guest", session,
          [](Session& s, const std::string& name) { return verb(s, name, "reboot", Json::object(), "was restarted"); });
    named(vm, "destroy", "Cut a VM off, as by pulling its plug", session,
          [](Session& s, const std::string& name) -> Outcome<> {
              BALLAST_CHECK(s.confirm(fmt::format("Cut {} off? What its guest has not written is lost.", name)));
              return verb(s, name, "destroy", Json::object(), "is off");
          });
    named(vm, "save", "Write a VM's running state to its host's disk; `vm start` goes on from there", session,
          [](Session& s, const std::string& name) {
              return verb(s, name, "save", Json::object(),
                          "is saved on its host; `ballast vm start` goes on from there");
          });
}

struct DeleteOptions {
    bool force = false;
    bool keep_disks = false;
    std::vector<std::string> disks;
};

/// What a delete will take away, in words: volumes that Ballast made go, disks of an adopted VM stay unless named.
std::string doomed(const Json& row, const DeleteOptions& options) {
    const bool own = row.value("created_by_ballast", false);
    std::string gone;
    std::string kept;
    for (const auto& disk : row.value("spec", Json::object()).value("disks", Json::array())) {
        const std::string target = text_at(disk, "target");
        const bool is_named = std::ranges::find(options.disks, target) != options.disks.end();
        const bool goes = !options.keep_disks && !disk.value("read_only", false) && (own || is_named);
        const std::string path = text_at(disk, "path");
        std::string& list = goes ? gone : kept;
        list += fmt::format("\n  {} {}", target, path.empty() ? text_at(disk, "volume") : path);
    }
    std::string text = "its definition";
    if (!gone.empty()) text += ", and for good its disks:" + gone;
    if (!kept.empty()) text += "\nkept:" + kept;
    return text;
}

Outcome<> remove(Session& session, const std::string& name, const DeleteOptions& options) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto row, read_row(*api, path_of(name)));
    const std::string what = doomed(row, options);
    BALLAST_CHECK(session.confirm(fmt::format("Deleting {} removes {}\nDelete it?", name, what)));
    if (session.globals.yes && session.globals.format == Format::table)
        session.err() << fmt::format("deleting {} removes {}\n", name, what);
    const Json body{{"force", options.force}, {"keep_disks", options.keep_disks}, {"disks", options.disks}};
    BALLAST_TRY(const auto answer, api->write("POST", path_of(name) + "/delete", body));
    return finish_job(session, answer, fmt::format("{} is gone", name));
}

void add_delete(CLI::App& vm, Session& session) {
    const auto options = std::make_shared<DeleteOptions>();
    CLI::App* command = named(vm, "delete", "Remove a VM and the volumes that Ballast made for it", session,
                              [options](Session& s, const std::string& name) { return remove(s, name, *options); });
    command->add_flag("--force", options->force, "Cut it off first if it runs");
    command->add_flag("--keep-disks", options->keep_disks, "Keep its volumes");
    command->add_option("--disk", options->disks, "Of an adopted VM: remove this disk (vda), too; may be repeated")
        ->allow_extra_args(false);
}

Outcome<> console(Session& session, const std::string& name) {
    BALLAST_TRY(Api* const api, session.api());
    if (session.world().in_is_terminal)
        session.err() << fmt::format("connected to the serial console of {}; Ctrl-] leaves\n", name) << std::flush;
    BALLAST_TRY(const auto reason, api->console(path_of(name) + "/console"));
    if (session.world().in_is_terminal) session.err() << fmt::format("\nleft the console of {} ({})\n", name, reason);
    return {};
}

Outcome<> adopt(Session& session, const std::vector<std::string>& names, const std::vector<std::string>& labels) {
    if (names.empty() && labels.empty())
        return failing(Exit::usage, "no VM is named", "`ballast vm adopt NAME…` or `--label key=value`");
    BALLAST_TRY(const auto wanted, parse_labels(labels));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer,
                api->write("POST", std::string(vms) + "/adopt", Json{{"names", names}, {"labels", wanted}}));
    std::string adopted;
    for (const auto& row : answer.body.value("items", Json::array()))
        adopted += (adopted.empty() ? "" : ", ") + text_at(row, "name");
    return finish_job(session, answer, fmt::format("adopted: {}", adopted.empty() ? "none" : adopted));
}

void add_adopt(CLI::App& vm, Session& session) {
    const auto names = std::make_shared<std::vector<std::string>>();
    const auto labels = std::make_shared<std::vector<std::string>>();
    CLI::App* command = vm.add_subcommand("adopt", "Let Ballast act on VMs that were there before");
    command->add_option("names", *names, "Names, name@host or ids")->type_name("");
    command->add_option("--label", *labels, "Every observed VM that carries key=value; may be repeated")
        ->allow_extra_args(false)
        ->type_name("K=V");
    on(command, session, [names, labels](Session& s) { return adopt(s, *names, *labels); });
}

Outcome<> set(Session& session, const std::string& name, const MemoryFlags& flags) {
    Json spec = Json::object();
    add_memory_json(spec, flags);
    if (spec.empty()) return failing(Exit::usage, "nothing is named", "`ballast vm set --help` lists what may change");
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("PATCH", path_of(name), Json{{"spec", std::move(spec)}}));
    const auto waits = [](const Json& alert) {
        return alert.is_string() && alert.get_ref<const std::string&>().starts_with("next start:");
    };
    const Json alerts = answer.body.value("alerts", Json::array());
    const auto waiting = std::ranges::find_if(alerts, waits);
    return finish_job(session, answer,
                      fmt::format("{} was changed{}", name,
                                  waiting == alerts.end() ? "" : "; at its " + waiting->get<std::string>()));
}

void add_set(CLI::App& vm, Session& session) {
    const auto flags = std::make_shared<MemoryFlags>();
    CLI::App* command = named(vm, "set", "Change what a VM asks of its host's memory", session,
                              [flags](Session& s, const std::string& name) { return set(s, name, *flags); });
    add_memory_flags(*command, *flags);
}

struct ListOptions {
    std::string host;
    std::string state;
};

void add_lists(CLI::App& vm, Session& session) {
    const auto options = std::make_shared<ListOptions>();
    CLI::App* list = vm.add_subcommand("list", "All VMs");
    list->add_option("--host", options->host, "Only those of this host");
    list->add_option("--state", options->state, "Only those in this state");
    on(list, session, [options](Session& s) {
        const std::string query =
            Query().add("host", options->host).add("state", options->state).add("sort", "name").str();
        return s.print_list(vm_view(), [query](Api& api) { return api.list(vms + query); });
    });
    named(vm, "show", "Everything about one VM", session, [](Session& s, const std::string& name) {
        return s.print_one(vm_view(), [&name](Api& api) { return read_row(api, path_of(name)); });
    });
}

}  // namespace

void add_vm_commands(CLI::App& app, Session& session) {
    CLI::App& vm = group(app, "vm", "Virtual machines: create, run, move, look into");
    add_vm_make_commands(vm, session);
    add_lists(vm, session);
    add_power(vm, session);
    add_delete(vm, session);
    add_vm_migrate_command(vm, session);
    named(vm, "console", "The serial console in this terminal; Ctrl-] leaves", session, console);
    add_adopt(vm, session);
    add_set(vm, session);
    add_vm_memory_command(vm, session);
}

}  // namespace ballast::cli
