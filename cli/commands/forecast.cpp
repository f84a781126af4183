// What a migration would cost, for people: the modes side by side, the chosen one and why.
#include <algorithm>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

Json part(const Json& row, const char* key) {
    const auto at = row.find(key);
    return at != row.end() ? *at : Json();
}

Column column(std::string title, std::function<std::string(const Json&)> make, bool flexible = false) {
    return {Table::Heading{.text = std::move(title), .right = false, .flexible = flexible},
            [make = std::move(make)](const Json& row, Api&) { return Cell{make(row), Colour::none}; }};
}

std::string rounds_text(const Json& rounds) {
    const auto low = number_at(rounds, "low");
    const auto high = number_at(rounds, "high");
    const auto likely = number_at(rounds, "likely");
    return low == high ? fmt::format("{}", likely) : fmt::format("{} ({} to {})", likely, low, high);
}

const View& modes_view() {
    static const View view{
        .kind = "",
        .columns = {column("MODE", [](const Json& row) { return mode_text(text_at(row, "mode")); }),
                    {Table::Heading{.text = "VERDICT"},
                     [](const Json& row, Api&) {
                         const std::string verdict = text_at(row, "verdict");
                         return Cell{verdict, verdict == "chosen" ? Colour::green
                                              : verdict == "no"   ? Colour::red
                                                                  : Colour::none};
                     }},
                    column("TOTAL", [](const Json& row) { return range_text(part(row, "total")); }),
                    column("DOWNTIME", [](const Json& row) { return range_text(part(row, "downtime")); }),
                    column("SENT", [](const Json& row) { return range_text(part(row, "bytes")); }),
                    column("ROUNDS", [](const Json& row) { return rounds_text(part(row, "rounds")); }),
                    column("BROWN-OUT", [](const Json& row) { return range_text(part(row, "brown_out")); }),
                    column("CONVERGES", [](const Json& row) { return text_at(row, "converges"); }),
                    column(
                        "WHY", [](const Json& row) { return text_at(row, "reason"); }, true)},
        .name = [](const Json& row) { return text_at(row, "mode"); }};
    return view;
}

Json with_verdicts(const Json& forecast) {
    const std::string chosen = text_at(part(forecast, "choice"), "mode");
    Json modes = forecast.value("modes", Json::array());
    for (auto& mode : modes)
        mode["verdict"] = text_at(mode, "mode") == chosen ? "chosen"
                          : mode.value("feasible", false) ? "possible"
                                                          : "no";
    return modes;
}

/// What the forecast rests on.
std::string basis(const Session& session, const std::string& name, const Json& forecast) {
    const Json input = part(forecast, "input");
    const Json link = part(input, "link");
    std::string out = fmt::format("{} has {}; link {} ({})\n", name, Bytes(number_at(input, "memory_bytes")),
                                  rate_text(number_at(part(link, "bandwidth"), "likely_bytes_per_second")),
                                  printable(text_at(link, "source")));
    const Json curve = part(input, "curve");
    if (!curve.is_object())
        return out + fmt::format(
                         "its dirty-page curve is not measured yet, so the ranges are wide; it is being "
                         "measured now: ask again in a minute, or start at once\n");
    return out + fmt::format("dirty-page curve: {}/s into {}, from {}, measured {} ago\n",
                             Bytes(number_at(part(curve, "rate"), "likely_bytes_per_second")),
                             Bytes(number_at(part(curve, "working_set"), "likely_bytes")), text_at(curve, "source"),
                             age(text_at(curve, "measured"), session.world().now()));
}

std::string choice_text(const Json& choice) {
    std::string out =
        fmt::format("chosen: {}: {}\n", mode_text(text_at(choice, "mode")), printable(text_at(choice, "reason")));
    for (const auto& step : choice.value("plan", Json::array()))
        if (step.is_string()) out += fmt::format("  if it must: {}\n", printable(step.get<std::string>()));
    for (const auto& warning : choice.value("warnings", Json::array()))
        if (warning.is_string()) out += fmt::format("  warning: {}\n", printable(warning.get<std::string>()));
    return out;
}

/// Findings that are not ok, each with its way out. Gives the first refusal.
Json print_findings(Session& session, const Json& preflight) {
    Json refused;
    for (const auto& check : preflight) {
        const std::string verdict = text_at(check, "verdict");
        if (verdict == "ok") continue;
        if (verdict == "refused" && refused.is_null()) refused = check;
        const std::string way_out = text_at(check, "way_out");
        session.out() << printable(fmt::format("{}: {}: {}{}", verdict, text_at(check, "name"),
                                               text_at(check, "detail"), way_out.empty() ? "" : "; " + way_out))
                      << "\n";
    }
    return refused;
}

Outcome<> print_forecast(Session& session, const std::string& name, const Json& forecast) {
    session.out() << basis(session, name, forecast);
    BALLAST_CHECK(
        session.print_list(modes_view(), [&forecast](Api&) -> Outcome<Json> { return with_verdicts(forecast); }));
    const Json choice = part(forecast, "choice");
    if (!choice.is_object()) return failing(Exit::conflict, text_at(forecast, "refusal"));
    session.out() << choice_text(choice);
    return {};
}

}  // namespace

std::string mode_text(std::string mode) {
    std::ranges::replace(mode, '_', '-');
    return mode;
}

std::string range_text(const Json& range) {
    const auto text = [&range](const std::string& end) -> std::string {
        if (range.contains(end + "_ms")) return to_string(Milliseconds(number_at(range, (end + "_ms").c_str())));
        return to_string(Bytes(number_at(range, (end + "_bytes").c_str())));
    };
    if (!range.is_object()) return {};
    const std::string low = text("low");
    const std::string likely = text("likely");
    const std::string high = text("high");
    return low == high ? likely : fmt::format("{} ({} to {})", likely, low, high);
}

Outcome<> print_plan(Session& session, const std::string& name, const Json& plan) {
    if (session.globals.format != Format::table) return session.print_done(plan, "");
    const Json decision = part(plan, "decision");
    if (text_at(decision, "chosen").empty()) return print_decision(session, decision);
    BALLAST_TRY(Api* const api, session.api());
    const std::string to = api->host_name(text_at(plan, "to"));
    session.out() << fmt::format("{} to {}\n", name, to);
    const Json refused = print_findings(session, plan.value("preflight", Json::array()));
    const Json forecast = part(plan, "forecast");
    const std::string none = text_at(plan, "no_forecast");
    if (!none.empty()) session.out() << printable(none) << "\n";
    if (forecast.is_object()) BALLAST_CHECK(print_forecast(session, name, forecast));
    if (refused.is_null()) return {};
    return failing(Exit::conflict, fmt::format("the move to {} would be refused: {}", to, text_at(refused, "detail")),
                   text_at(refused, "way_out"));
}

}  // namespace ballast::cli
