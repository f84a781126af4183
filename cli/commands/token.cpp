#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* tokens = "/api/v1/tokens";

struct TokenOptions {
    std::string name;
    std::string right = "viewer";
    std::string expires;
};

/// "30d", "12h" from now, or an RFC 3339 time.
Result<std::string> expiry(const std::string& text, Timestamp now) {
    if (const auto time = parse_timestamp(text)) return to_string(*time);
    const char unit = text.empty() ? ' ' : text.back();
    const std::string digits = text.substr(0, text.empty() ? 0 : text.size() - 1);
    const bool number =
        !digits.empty() && digits.size() < 6 && digits.find_first_not_of("0123456789") == std::string::npos;
    if (number && unit == 'd') return to_string(now + std::chrono::days(std::stol(digits)));
    if (number && unit == 'h') return to_string(now + std::chrono::hours(std::stol(digits)));
    return fail(Code::invalid_argument, "--expires {}: write 30d, 12h or a time such as 2027-01-31T00:00:00Z", text);
}

Outcome<> create(Session& session, const TokenOptions& options) {
    Json body{{"name", options.name}, {"right", options.right}};
    if (!options.expires.empty()) {
        BALLAST_TRY(body["expires"], expiry(options.expires, session.world().now()));
    }
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", tokens, body));
    if (session.globals.format == Format::table)
        session.err() << fmt::format("token {} ({}); its secret is shown only now:\n", options.name, options.right);
    const std::string secret = text_at(answer.body, "secret");
    if (session.globals.format == Format::name) {
        session.out() << secret << "\n";
        return {};
    }
    return session.print_done(answer.body, secret);
}

Outcome<> revoke(Session& session, const std::string& name) {
    BALLAST_CHECK(session.confirm(fmt::format("Revoke token {}? Whoever uses it is locked out at once.", name)));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("DELETE", fmt::format("{}/{}", tokens, encoded(name)), Json()));
    return finish_job(session, answer, fmt::format("token {} is revoked", name));
}

}  // namespace

void add_token_commands(CLI::App& app, Session& session) {
    CLI::App& token = group(app, "token", "Who may use the API");
    const auto options = std::make_shared<TokenOptions>();
    CLI::App* creating = token.add_subcommand("create", "Make a token; its secret is printed once");
    creating->add_option("name", options->name, "Whose it is; it appears in events")->required()->type_name("");
    creating->add_option("--right", options->right, "viewer, operator or admin")
        ->check(CLI::IsMember({"viewer", "operator", "admin"}));
    creating->add_option("--expires", options->expires, "30d, 12h or a time; default: never");
    on(creating, session, [options](Session& s) { return create(s, *options); });
    on(token.add_subcommand("list", "All tokens, without their secrets"), session,
       [](Session& s) { return s.print_list(token_view(), [](Api& api) { return api.list(tokens); }); });
    named(token, "revoke", "End a token", session, revoke);
}

}  // namespace ballast::cli
