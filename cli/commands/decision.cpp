// Why and why not: a decision of the scheduler for people.
#include <algorithm>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

/// "memory_left 0.80, vcpus_left 0.75": scorer by scorer, those that count.
std::string score_text(const Json& host) {
    std::string out;
    for (const auto& term : host.value("terms", Json::array()))
        out += fmt::format("{}{} {:.2f}", out.empty() ? "" : ", ", text_at(term, "name"), term.value("value", 0.0));
    return out;
}

/// Of a refusal the rules that said no, with the smallest change that would turn each; else the score by scorer.
std::string why(const Json& host, Api& /*api*/) {
    if (host.value("accepted", false)) return score_text(host);
    std::string out;
    for (const auto& rule : host.value("rules", Json::array())) {
        if (rule.value("accepted", true)) continue;
        out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", text_at(rule, "rule"), text_at(rule, "detail"));
        if (const auto change = text_at(rule, "fits_if"); !change.empty()) out += fmt::format(" (fits if {})", change);
    }
    return out;
}

const View& decision_view() {
    static const View view{
        .kind = "",
        .columns = {{Table::Heading{.text = "HOST"},
                     [](const Json& row, Api&) { return Cell{text_at(row, "name"), Colour::none}; }},
                    {Table::Heading{.text = "VERDICT"},
                     [](const Json& row, Api&) {
                         const std::string verdict = text_at(row, "verdict");
                         return Cell{verdict, verdict == "refused" ? Colour::red : Colour::green};
                     }},
                    {Table::Heading{.text = "SCORE", .right = true},
                     [](const Json& row, Api&) {
                         return Cell{row.value("accepted", false) ? fmt::format("{:.2f}", row.value("score", 0.0)) : "",
                                     Colour::none};
                     }},
                    {Table::Heading{.text = "WHY", .right = false, .flexible = true},
                     [](const Json& row, Api& api) { return Cell{why(row, api), Colour::none}; }}}};
    return view;
}

std::string name_of(const Json& hosts, const std::string& id) {
    for (const auto& host : hosts)
        if (text_at(host, "host") == id) return text_at(host, "name");
    return id;
}

/// What was decided, in one sentence; then, where it is known, what would make the best refused host fit.
std::string sentence(const Json& decision) {
    const Json hosts = decision.value("hosts", Json::array());
    const std::string chosen = text_at(decision, "chosen");
    const auto fitting =
        std::count_if(hosts.begin(), hosts.end(), [](const Json& host) { return host.value("accepted", false); });
    const std::string policy = text_at(decision, "policy");
    std::string out = chosen.empty() ? fmt::format("None of {} hosts takes it", hosts.size())
                                     : fmt::format("{} is the best of {} hosts that take it, of {}{}",
                                                   name_of(hosts, chosen), fitting, hosts.size(),
                                                   policy.empty() ? "" : fmt::format(", by the policy {}", policy));
    if (const Json conflict = decision.value("conflict", Json()); conflict.is_object())
        out += fmt::format(": {}", text_at(conflict, "text"));
    if (const Json nearest = decision.value("nearest", Json()); nearest.is_object())
        out += fmt::format("; {}", text_at(nearest, "text"));
    return printable(out) + ".\n";
}

/// Whether some host lacks nothing but room.
bool only_room_is_missing(const Json& decision) {
    for (const auto& host : decision.value("hosts", Json::array())) {
        bool room = false;
        bool other = false;
        for (const auto& rule : host.value("rules", Json::array()))
            if (!rule.value("accepted", true)) (rule.value("about_room", false) ? room : other) = true;
        if (room && !other) return true;
    }
    return false;
}

Outcome<> no_host(const Json& decision) {
    if (only_room_is_missing(decision)) return failing(Exit::no_capacity, "no host has room for it");
    return failing(Exit::conflict, "no host takes it");
}

const View& batch_view() {
    static const View view{.kind = "",
                           .columns = {{Table::Heading{.text = "VM"},
                                        [](const Json& row, Api&) { return Cell{text_at(row, "name"), Colour::none}; }},
                                       {Table::Heading{.text = "HOST"}, [](const Json& row, Api&) {
                                            return Cell{text_at(row, "host_name"), Colour::none};
                                        }}}};
    return view;
}

}  // namespace

Outcome<> print_decision(Session& session, const Json& decision) {
    const std::string chosen = text_at(decision, "chosen");
    if (session.globals.format == Format::table) {
        session.out() << sentence(decision);
        Json hosts = decision.value("hosts", Json::array());
        for (auto& host : hosts)
            host["verdict"] = text_at(host, "host") == chosen ? "chosen"
                              : host.value("accepted", false) ? "fits"
                                                              : "refused";
        BALLAST_CHECK(session.print_list(decision_view(), [&hosts](Api&) -> Outcome<Json> { return hosts; }));
    } else {
        BALLAST_CHECK(session.print_done(decision, ""));
    }
    return chosen.empty() ? no_host(decision) : Outcome<>{};
}

Outcome<> print_batch(Session& session, const Json& decision) {
    const bool table = session.globals.format == Format::table;
    if (!table) BALLAST_CHECK(session.print_done(decision, ""));
    const Json places = decision.value("places", Json::array());
    if (!decision.value("placed", false)) {
        const Json reasons = decision.value("why", Json::object());
        if (!table) return no_host(reasons);
        session.out() << printable(text_at(decision, "failed"))
                      << " finds no host beside the others: none is placed.\n";
        return print_decision(session, reasons);
    }
    if (!table) return {};
    session.out() << fmt::format("All {} VMs find a host.\n", places.size());
    return session.print_list(batch_view(), [&places](Api&) -> Outcome<Json> { return places; });
}

}  // namespace ballast::cli
