#include "cli/commands/commands.h"
#include "cli/version.h"

namespace ballast::cli {
namespace {

const View& cluster_view() {
    static const View view{.kind = "host", .columns = {}};
    return view;
}

/// Checks what it writes: the URL, the key and the token must work together.
Outcome<> login(Session& session, const std::string& url) {
    session.globals.url = url;
    BALLAST_TRY(const auto access, resolve_access(session.world(), session.globals));
    if (session.globals.insecure)
        return failing(Exit::usage, "a login is not kept with --insecure", "pin the key with --fingerprint sha256:…");
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto cluster, read_row(*api, "/api/v1"));
    const Profile profile{
        .url = url, .token = access.token, .ca = access.trust.ca_file, .fingerprint = access.trust.fingerprint};
    BALLAST_TRY(const auto path, write_profile(session.world(), profile));
    return session.print_done(cluster,
                              fmt::format("logged in to {} at {}; kept in {}", text_at(cluster, "name"), url, path));
}

Outcome<> version(Session& session) {
    Json versions{{"client", program_version}, {"server", nullptr}};
    std::string text = fmt::format("ballast  {}", program_version);
    if (auto api = session.api()) {
        if (const auto cluster = read_row(**api, "/api/v1")) {
            versions["server"] = text_at(*cluster, "version");
            text += fmt::format("\nballastd {} at {}", text_at(*cluster, "version"), (*api)->url());
        } else {
            text += fmt::format("\nballastd unknown: {}", cluster.error().message);
        }
    }
    return session.print_done(versions, text);
}

}  // namespace

void add_cluster_commands(CLI::App& app, Session& session) {
    CLI::App& cluster = group(app, "cluster", "The cluster as a whole");
    on(cluster.add_subcommand("show", "Its name, version and health"), session,
       [](Session& s) { return s.print_one(cluster_view(), [](Api& api) { return read_row(api, "/api/v1"); }); });
    const auto url = std::make_shared<std::string>();
    CLI::App* logging = app.add_subcommand("login", "Keep address, key and token for the commands that follow");
    logging->add_option("address", *url, "Address of ballastd, https://name:8470")->required()->type_name("");
    on(logging, session, [url](Session& s) { return login(s, *url); });
    on(app.add_subcommand("version", "Versions of client and server"), session, version);
}

}  // namespace ballast::cli
