// What people read about the configuration, made from the table of keys: the sample file, the values in force, the
// manual page.

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "daemon/config/config.h"
#include "daemon/config/keys.h"
#include "daemon/config/labels.h"
#include "daemon/config/policies.h"

namespace ballast::config {
namespace {

constexpr std::string_view head =
    "# Configuration of ballastd. Every key is shown with its default; remove the '#' in front of a key to change it.\n"
    "# The environment (BALLAST_SERVER_PORT=8471) overrides this file, `ballastd --set server.port=8471` overrides "
    "both.\n";

std::string write_toml(const Config& config, std::string_view mark) {
    std::string out;
    for (const auto& section : sections()) {
        out += fmt::format("\n# {}\n[{}]\n", section.doc, section.name);
        for (const auto& key : keys())
            if (key.section == section.name)
                out += fmt::format("# {} ({})\n{}{} = {}\n", key.doc, key.takes, mark, key.name, key.show(config));
        if (section.name == "migration") out += mark.empty() ? render_labels(config.migration) : sample_label();
        if (section.name == "placement") out += mark.empty() ? render_policies(config.placement) : sample_policy();
    }
    return out;
}

/// A line that begins with '.' or contains a backslash would be a command of roff.
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
    return out.starts_with('.') ? "\\&" + out : out;
}

}  // namespace

std::string sample() {
    return std::string(head) + write_toml(Config{}, "#");
}

std::string render(const Config& config) {
    return write_toml(config, "").substr(1);
}

std::string manual_page() {
    std::string out =
        ".TH BALLASTD.TOML 5 \"\" \"Ballast\" \"Ballast\"\n.SH NAME\nballastd.toml \\- configuration of ballastd\n"
        ".SH SYNOPSIS\n.I /etc/ballast/ballastd.toml\n.SH DESCRIPTION\n"
        "One TOML file in sections. Every key has a default, so the file may be absent or empty. An unknown key, a "
        "value "
        "of another type and a value out of range are errors that name file, line and key.\n.PP\n"
        "Each key can be overridden by the environment variable\n.BR BALLAST_SECTION_KEY ,\nand that by\n"
        ".BR \"ballastd \\-\\-set section.key=value\" .\n";
    const Config defaults;
    for (const auto& section : sections()) {
        out += fmt::format(".SH [{}]\n{}\n", section.name, roff(section.doc));
        for (const auto& key : keys())
            if (key.section == section.name)
                out += fmt::format(".TP\n.B {}\n{} Takes {}. Default: {}. Environment: {}.\n", roff(key.name),
                                   roff(key.doc), roff(key.takes), roff(key.show(defaults)), key.variable());
    }
    out += fmt::format(
        ".SH [[migration.label]]\nA policy for every VM that carries the label; of several that fit, the "
        "first decides, key by key. Keys: {}.\n",
        roff(label_keys_text()));
    out +=
        ".SH [[placement.policies]]\nA policy by which hosts are compared: its name, and the weight of each scorer "
        "that "
        "counts, a number from 0 up. The scorers are described in docs/RULES.md.\n";
    return out + ".SH SEE ALSO\n.BR ballastd (8),\n.BR ballast (1)\n";
}

}  // namespace ballast::config
