#include "cli/commands/commands.h"
#include "cli/reference.h"

namespace ballast::cli {
namespace {

constexpr const char* topics_text =
    "Topics: exit-codes, output, access.\nEvery command has --help; `ballast --help` lists them.\n";

constexpr const char* output_text =
    "-o table  for people: columns fit the terminal, units are readable, colours only on a terminal (NO_COLOR is "
    "kept)\n"
    "-o json   the rows as the API has them\n"
    "-o yaml   the same as YAML\n"
    "-o name   one name or id per line\n"
    "What is asked for goes to standard output; progress, questions and errors go to standard error.\n";

constexpr const char* access_text =
    "The address comes from --url, BALLAST_URL, `ballast login`, else https://127.0.0.1:8470.\n"
    "The token comes from --token, BALLAST_TOKEN, `ballast login`, else the file ~/.config/ballast/token.\n"
    "The server is trusted by --fingerprint or BALLAST_FINGERPRINT (sha256:… of its key, which ballastd logs at its\n"
    "start), by --ca or BALLAST_CA (a PEM file), else by the certificate authorities of this machine.\n";

Outcome<> help(Session& session, const std::string& topic) {
    if (topic == "exit-codes")
        session.out() << exit_codes_text();
    else if (topic == "output")
        session.out() << output_text;
    else if (topic == "access")
        session.out() << access_text;
    else if (topic.empty())
        session.out() << topics_text;
    else
        return failing(Exit::usage, fmt::format("there is no help on '{}'", topic), "`ballast help` lists the topics");
    return {};
}

}  // namespace

void add_help_commands(CLI::App& app, Session& session) {
    const auto topic = std::make_shared<std::string>();
    CLI::App* helping = app.add_subcommand("help", "Help on a topic: exit-codes, output, access");
    helping->add_option("topic", *topic, "The topic")->type_name("");
    on(helping, session, [topic](Session& s) { return help(s, *topic); });

    const CLI::App* root = &app;
    const auto shell = std::make_shared<std::string>();
    CLI::App* completing = app.add_subcommand("completion", "Print completions for bash, zsh or fish");
    completing->add_option("shell", *shell, "bash, zsh or fish")->required()->type_name("");
    on(completing, session, [shell, root](Session& s) -> Outcome<> {
        BALLAST_TRY(const auto text, completion(*root, *shell));
        s.out() << text;
        return {};
    });
    CLI::App* manual = app.add_subcommand("manual", "Print the manual page");
    manual->group("");
    on(manual, session, [root](Session& s) -> Outcome<> {
        s.out() << manual_page(*root);
        return {};
    });
}

}  // namespace ballast::cli
