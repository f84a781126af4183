#include "cli/app.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/commands/commands.h"
#include "core/json.h"

namespace ballast::cli {
namespace {

const std::map<std::string, Format> formats{{"table", Format::table},
                                            {"wide", Format::wide},
                                            {"json", Format::json},
                                            {"yaml", Format::yaml},
                                            {"name", Format::name}};

void add_globals(CLI::App& app, Globals& globals) {
    app.add_option("--url", globals.url, "Address of ballastd (BALLAST_URL; default https://127.0.0.1:8470)")
        ->type_name("URL");
    app.add_option("--token", globals.token, "Bearer token (BALLAST_TOKEN; default: that of `ballast login`)");
    app.add_option("--ca", globals.ca, "PEM file of certificate authorities to trust (BALLAST_CA)")->type_name("FILE");
    app.add_option("--fingerprint", globals.fingerprint,
                   "Trust the server that shows this key: sha256:… (BALLAST_FINGERPRINT)");
    app.add_flag("--insecure", globals.insecure, "Trust any server. Only for trying out");
    app.add_option("-o,--output", globals.format, "table, wide, json, yaml or name")
        ->transform(CLI::CheckedTransformer(formats).description(""))
        ->type_name("FORMAT");
    app.add_flag("--watch,-w", globals.watch, "Of lists and show: print again whenever something changes");
    app.add_flag("--no-wait", globals.no_wait, "Do not wait for the job; print its id");
    app.add_option("--timeout", globals.timeout, "Wait no longer than this (90s, 5min); the job goes on");
    app.add_flag("-y,--yes", globals.yes, "Do not ask before something is removed or cut off");
}

const CLI::App& chosen_command(const CLI::App& app) {
    const CLI::App* chosen = &app;
    while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
    return *chosen;
}

std::string path_of(const CLI::App& app) {
    return app.get_parent() == nullptr ? app.get_name() : path_of(*app.get_parent()) + " " + app.get_name();
}

std::string help_of(const CLI::App& app) {
    const CLI::App& chosen = chosen_command(app);
    return chosen.help(chosen.get_parent() == nullptr ? "" : path_of(*chosen.get_parent()));
}

/// Whether the word before is an option that takes the next one as its value.
bool takes_value(const CLI::App* app, const std::string& word) {
    for (; app != nullptr; app = app->get_parent())
        if (const auto* option = app->get_option_no_throw(word)) return option->get_items_expected_max() > 0;
    return false;
}

/// The first word that should be a command but is none, with the nearest that is; empty: all are.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words) {
    const CLI::App* at = &app;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
        if (commands.empty()) return {};
        if (word.starts_with('-') || (i > 0 && words[i - 1].starts_with('-') && takes_value(at, words[i - 1])))
            continue;
        std::vector<std::string> known;
        const CLI::App* next = nullptr;
        for (const auto* command : commands) {
            known.push_back(command->get_name());
            if (command->get_name() == word) next = command;
        }
        if (next == nullptr) {
            const std::string near = nearest(word, known);
            return fmt::format("there is no command '{} {}'{}", path_of(*at), word,
                               near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
        }
        at = next;
    }
    return {};
}

/// CLI11's own sentence, or a better one, and the command whose help says more.
Failure usage_failure(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
    std::string message = unknown_command(app, words);
    if (message.empty()) message = error.what();
    while (message.ends_with('\n')) message.pop_back();
    return {Exit::usage, message, fmt::format("`{} --help`", path_of(chosen_command(app)))};
}

int report(const Session& session, const Failure& failure) {
    session.out().flush();
    session.err() << describe(failure);
    session.err().flush();
    return static_cast<int>(failure.exit);
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Session& session) {
    auto app = std::make_unique<CLI::App>("Ballast runs a cluster of plain libvirt hosts.", "ballast");
    app->fallthrough();
    app->require_subcommand(0, 1);
    app->option_defaults()->always_capture_default(false);
    add_globals(*app, session.globals);
    add_host_commands(*app, session);
    add_vm_commands(*app, session);
    add_reservation_commands(*app, session);
    add_storage_commands(*app, session);
    add_image_commands(*app, session);
    add_job_commands(*app, session);
    add_migration_commands(*app, session);
    add_plan_commands(*app, session);
    add_event_commands(*app, session);
    add_token_commands(*app, session);
    add_cluster_commands(*app, session);
    add_capacity_command(*app, session);
    add_memory_command(*app, session);
    add_offline_commands(*app, session);
    add_snapshot_command(*app, session);
    add_what_if_command(*app, session);
    add_help_commands(*app, session);
    return app;
}

int run(const std::vector<std::string>& words, World world) {
    Session session(std::move(world));
    const auto app = make_app(session);
    try {
        std::vector<std::string> reversed(words.rbegin(), words.rend());
        app->parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        session.out() << help_of(*app);
        return 0;
    } catch (const CLI::ParseError& error) {
        return report(session, usage_failure(*app, error, words));
    }
    session.globals.wide = session.globals.format == Format::wide;
    if (session.globals.wide) session.globals.format = Format::table;
    if (!session.act) {
        session.out() << help_of(*app);
        return app->get_subcommands().empty() && words.empty() ? 0 : static_cast<int>(Exit::usage);
    }
    const auto outcome = session.act();
    if (!outcome) return report(session, outcome.error());
    session.out().flush();
    return session.out() ? 0 : static_cast<int>(Exit::failed);
}

}  // namespace ballast::cli
