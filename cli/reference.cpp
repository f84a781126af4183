#include "cli/reference.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/failure.h"

namespace ballast::cli {
namespace {

using Apps = std::vector<const CLI::App*>;

Apps children(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App* child) { return !child->get_group().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
    return app.get_options([](const CLI::Option* option) { return !option->get_lnames().empty(); });
}

std::string path_of(const CLI::App& app) {
    std::string path = app.get_name();
    for (const CLI::App* at = app.get_parent(); at != nullptr; at = at->get_parent())
        path = at->get_name() + " " + path;
    return path;
}

/// Every command with its path, depth first.
void collect(const CLI::App& app, Apps& all) {
    all.push_back(&app);
    for (const auto* child : children(app)) collect(*child, all);
}

std::string words_at(const CLI::App& app) {
    std::string words;
    for (const auto* child : children(app)) words += (words.empty() ? "" : " ") + child->get_name();
    for (const auto* option : options_of(app)) words += (words.empty() ? "--" : " --") + option->get_lnames().front();
    return words;
}

std::string bash(const CLI::App& app) {
    Apps all;
    collect(app, all);
    std::string cases;
    for (const auto* one : all) cases += fmt::format("        '{}') words='{}' ;;\n", path_of(*one), words_at(*one));
    std::string globals;
    for (const auto* option : options_of(app)) globals += " --" + option->get_lnames().front();
    return fmt::format(
        R"(# bash completion for ballast; made by `ballast completion bash`
_ballast() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path=ballast words= word candidate
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        candidate="$path $word"
        case "$candidate" in
{}            path="$candidate" ;;
        esac
    done
    case "$path" in
{}    esac
    COMPREPLY=($(compgen -W "$words{}" -- "$current"))
    [[ ${{#COMPREPLY[@]}} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
}}
complete -F _ballast ballast
)",
        [&] {
            std::string known;
            for (std::size_t i = 1; i < all.size(); ++i)
                known += fmt::format("{}'{}'{}", i == 1 ? "        " : "        | ", path_of(*all[i]),
                                     i + 1 == all.size() ? ")\n" : " \\\n");
            return known;
        }(),
        cases, globals);
}

std::string escaped(std::string text) {
    std::string out;
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out;
}

std::string fish(const CLI::App& app) {
    std::string out = "# fish completion for ballast; made by `ballast completion fish`\ncomplete -c ballast -f\n";
    for (const auto* option : options_of(app))
        out += fmt::format("complete -c ballast -l {} -d '{}'\n", option->get_lnames().front(),
                           escaped(option->get_description()));
    for (const auto* top : children(app)) {
        out += fmt::format("complete -c ballast -n __fish_use_subcommand -a {} -d '{}'\n", top->get_name(),
                           escaped(top->get_description()));
        for (const auto* child : children(*top)) {
            out += fmt::format(
                "complete -c ballast -n '__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}' -a {} "
                "-d '{}'\n",
                top->get_name(), words_at(*top), child->get_name(), escaped(child->get_description()));
            for (const auto* option : options_of(*child))
                out += fmt::format(
                    "complete -c ballast -n '__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}' -l {} "
                    "-d '{}'\n",
                    top->get_name(), child->get_name(), option->get_lnames().front(),
                    escaped(option->get_description()));
        }
    }
    return out;
}

/// zsh takes bash's function through bashcompinit.
std::string zsh(const CLI::App& app) {
    return "#compdef ballast\n# zsh completion for ballast; made by `ballast completion zsh`\nautoload -U +X "
           "bashcompinit && bashcompinit\n" +
           bash(app);
}

std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string option_lines(const CLI::App& app) {
    std::string out;
    for (const auto* option : options_of(app))
        out += fmt::format(".TP\n.B {}\n{}\n", roff(option->get_name(false, true)), roff(option->get_description()));
    return out;
}

std::string usage_of(const CLI::App& app) {
    std::string usage = path_of(app);
    for (const auto* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); }))
        usage += " " + option->get_name(true);
    return usage;
}

}  // namespace

Result<std::string> completion(const CLI::App& app, const std::string& shell) {
    if (shell == "bash") return bash(app);
    if (shell == "zsh") return zsh(app);
    if (shell == "fish") return fish(app);
    return fail(Code::invalid_argument, "no completions are known for '{}'; known are bash, zsh, fish", shell);
}

std::string manual_page(const CLI::App& app) {
    std::string out =
        ".TH BALLAST 1 \"\" \"Ballast\" \"Ballast\"\n.SH NAME\nballast \\- command line of a Ballast cluster\n"
        ".SH SYNOPSIS\n.B ballast\n[options] command\n.SH DESCRIPTION\n"
        "A client of the API of ballastd: hosts, virtual machines, volumes, images, migrations, jobs and events of a "
        "cluster of plain libvirt hosts.\n.SH OPTIONS\n" +
        option_lines(app) + ".SH COMMANDS\n";
    Apps all;
    collect(app, all);
    for (const auto* one : all)
        if (children(*one).empty())
            out +=
                fmt::format(".SS {}\n{}.\n{}", roff(usage_of(*one)), roff(one->get_description()), option_lines(*one));
    return out + ".SH EXIT STATUS\n.nf\n" + roff(exit_codes_text()) +
           ".fi\n.SH FILES\n.TP\n.I ~/.config/ballast/config.toml\nAddress, key and token; written by\n.BR \"ballast "
           "login\" .\n"
           ".TP\n.I ~/.config/ballast/token\nA token, read when nothing else names one.\n"
           ".SH ENVIRONMENT\nBALLAST_URL, BALLAST_TOKEN, BALLAST_CA, BALLAST_FINGERPRINT, BALLAST_CONFIG, NO_COLOR.\n"
           ".SH SEE ALSO\n.BR ballastd (8),\n.BR ballastd.toml (5)\n";
}

}  // namespace ballast::cli
