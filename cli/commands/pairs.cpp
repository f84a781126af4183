// What is known of moving VMs between each two hosts: the matrix, all findings, one check now.
#include <algorithm>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

/// The first check with this verdict.
Json first_with(const Json& pair, const std::string& verdict) {
    for (const auto& check : pair.value("checks", Json::array()))
        if (text_at(check, "verdict") == verdict) return check;
    return {};
}

std::string cell_text(const Json& pair) {
    const std::string verdict = pair_verdict(pair);
    return verdict == "ok" ? verdict : fmt::format("{}: {}", verdict, text_at(first_with(pair, verdict), "name"));
}

/// The API sorts by id; people look for names.
template <class KeyOf>
Json sorted_by(Json rows, KeyOf key_of) {
    std::vector<std::pair<decltype(key_of(rows)), Json>> keyed;
    for (auto& row : rows) {
        auto key = key_of(row);
        keyed.emplace_back(std::move(key), std::move(row));
    }
    std::ranges::sort(keyed, {}, [](const auto& one) { return one.first; });
    Json sorted = Json::array();
    for (auto& [key, row] : keyed) sorted.push_back(std::move(row));
    return sorted;
}

Outcome<Json> read_pairs(Api& api) {
    BALLAST_TRY(auto pairs, api.list("/api/v1/pairs"));
    return sorted_by(std::move(pairs), [&api](const Json& pair) {
        return std::pair(api.host_name(text_at(pair, "from")), api.host_name(text_at(pair, "to")));
    });
}

Outcome<Json> read_hosts(Api& api) {
    BALLAST_TRY(auto hosts, api.list("/api/v1/hosts"));
    return sorted_by(std::move(hosts), [](const Json& host) { return text_at(host, "name"); });
}

/// One line for each host that VMs leave, a member for each that they go to.
Outcome<Json> matrix_rows(Api& api, const Json& hosts) {
    BALLAST_TRY(const auto pairs, read_pairs(api));
    Json rows = Json::array();
    for (const auto& from : hosts) {
        Json row{{"name", text_at(from, "name")}};
        for (const auto& to : hosts)
            row[text_at(to, "id")] = text_at(from, "id") == text_at(to, "id") ? "" : "not checked";
        for (const auto& pair : pairs)
            if (text_at(pair, "from") == text_at(from, "id") && row.contains(text_at(pair, "to")))
                row[text_at(pair, "to")] = cell_text(pair);
        rows.push_back(std::move(row));
    }
    return rows;
}

View matrix_view(const Json& hosts) {
    View view{.kind = "pair", .columns = {}};
    view.columns.push_back({Table::Heading{.text = "FROM \\ TO"},
                            [](const Json& row, Api&) { return Cell{text_at(row, "name"), Colour::bold}; }});
    for (const auto& host : hosts)
        view.columns.push_back({Table::Heading{.text = text_at(host, "name"), .right = false, .flexible = true},
                                [id = text_at(host, "id")](const Json& row, Api&) {
                                    const std::string text = text_at(row, id.c_str());
                                    return Cell{text, colour_of_state(text.substr(0, text.find(':')))};
                                }});
    return view;
}

/// Why, and the way out, of what is refused.
Outcome<> print_refusals(Session& session, Api& api) {
    BALLAST_TRY(const auto pairs, read_pairs(api));
    for (const auto& pair : pairs) {
        const Json refused = first_with(pair, "refused");
        if (!refused.is_object()) continue;
        const std::string way_out = text_at(refused, "way_out");
        session.out() << printable(fmt::format("{} to {}: {}{}", api.host_name(text_at(pair, "from")),
                                               api.host_name(text_at(pair, "to")), text_at(refused, "detail"),
                                               way_out.empty() ? "" : "; " + way_out))
                      << "\n";
    }
    return {};
}

Outcome<> list_pairs(Session& session) {
    if (session.globals.format != Format::table || session.globals.wide)
        return session.print_list(pair_view(), read_pairs);
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto hosts, read_hosts(*api));
    BALLAST_CHECK(session.print_list(matrix_view(hosts), [&hosts](Api& a) { return matrix_rows(a, hosts); }));
    return print_refusals(session, *api);
}

Outcome<> check_pair(Session& session, const std::string& from, const std::string& to) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", "/api/v1/pairs/check", Json{{"from", from}, {"to", to}}));
    const Json pair = answer.body;
    if (session.globals.format != Format::table) return session.print_done(pair, "");
    return session.print_list(check_view(),
                              [&pair](Api&) -> Outcome<Json> { return pair.value("checks", Json::array()); });
}

}  // namespace

void add_pair_commands(CLI::App& host, Session& session) {
    on(host.add_subcommand("pairs", "Whether VMs can move between each two hosts (-o wide: every finding)"), session,
       list_pairs);
    CLI::App* check = host.add_subcommand("check-pair", "Check now whether VMs can move from one host to another");
    const auto from = std::make_shared<std::string>();
    const auto to = std::make_shared<std::string>();
    check->add_option("from", *from, "Host that VMs leave")->required()->type_name("");
    check->add_option("to", *to, "Host that VMs go to")->required()->type_name("");
    on(check, session, [from, to](Session& s) { return check_pair(s, *from, *to); });
}

}  // namespace ballast::cli
