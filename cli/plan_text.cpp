#include "cli/plan_text.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "cli/text.h"
#include "cli/views.h"
#include "core/units.h"

namespace ballast::cli {
namespace {

double real_at(const Json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_number() ? at->get<double>() : 0;
}

std::string after_text(const Json& step) {
    std::string text;
    for (const auto& number : step.value("after", Json::array()))
        text += (text.empty() ? "" : ",") + std::to_string(number.get<int>());
    return text;
}

std::string reason_text(const Json& step) {
    std::string text = text_at(step, "reason");
    if (step.value("temporary", false)) text = "for a while: " + text;
    if (step.value("asks", false)) text += " (asks first)";
    return printable(text);
}

Table table_of(const Json& steps) {
    Table table{{{"STEP", true},
                 {"VM", false, true},
                 {"FROM"},
                 {"TO"},
                 {"AFTER"},
                 {"GAIN", true},
                 {"COST", true},
                 {"TAKES", true},
                 {"REASON", false, true}},
                {}};
    for (const auto& step : steps) {
        const std::string after = after_text(step);
        table.rows.push_back({{std::to_string(number_at(step, "number"))},
                              {printable(text_at(step, "name"))},
                              {printable(text_at(step, "from_name"))},
                              {printable(text_at(step, "to_name"))},
                              {after.empty() ? "-" : after},
                              {seconds_text(real_at(step, "gain_s"))},
                              {seconds_text(real_at(step, "cost_s"))},
                              {to_string(Milliseconds(number_at(step, "expected_ms")))},
                              {reason_text(step)}});
    }
    return table;
}

std::string state_text(const Json& state) {
    std::string text =
        fmt::format("contention {} an hour (no placement has less than {})",
                    seconds_text(real_at(state, "contention_s")), seconds_text(real_at(state, "lower_bound_s")));
    if (const auto host = text_at(state, "fullest_host"); !host.empty())
        text += fmt::format(", fullest host {}: {} of its memory, {} of its cores", printable(host),
                            share_text(real_at(state, "fullest_memory")), share_text(real_at(state, "fullest_cpu")));
    if (const auto empty = number_at(state, "empty_hosts"); empty > 0) text += fmt::format(", {} empty", empty);
    if (const auto broken = number_at(state, "broken_rules"); broken > 0)
        text += fmt::format(", {} broken rule{}", broken, broken == 1 ? "" : "s");
    return text;
}

std::string lines_of(const Json& result, const char* key, std::string_view word) {
    std::string out;
    for (const auto& run : result.value(key, Json::array()))
        out += printable(fmt::format("{}: {} to {}: {}", word, text_at(run, "name"), text_at(run, "to"),
                                     text_at(run, "reason"))) +
               "\n";
    return out;
}

}  // namespace

std::string seconds_text(double seconds) {
    if (!std::isfinite(seconds)) return "-";
    if (std::abs(seconds) >= 7'200) return fmt::format("{:.1f} h", seconds / 3'600);
    if (std::abs(seconds) >= 100 || seconds == 0) return fmt::format("{:.0f} s", seconds);
    return fmt::format("{:.1f} s", seconds);
}

std::string share_text(double share) {
    return fmt::format("{:.0f} %", share * 100);
}

std::string plan_text(const Json& plan, std::size_t width, bool colours) {
    std::string out;
    const Json steps = plan.value("steps", Json::array());
    if (!steps.empty()) out += render_table(table_of(steps), width, colours);
    for (const auto& stay : plan.value("stays", Json::array()))
        out += printable(fmt::format("stays: {} on {}: {}", text_at(stay, "name"), text_at(stay, "host"),
                                     text_at(stay, "reason"))) +
               "\n";
    out += printable(text_at(plan, "verdict")) + "\n";
    if (steps.empty()) return out;
    out += "before: " + state_text(plan.value("before", Json::object())) + "\n";
    out += "after:  " + state_text(plan.value("after", Json::object())) + "\n";
    if (const auto expected = number_at(plan, "expected_ms"); expected > 0)
        out += fmt::format("takes about {} in all\n", to_string(Milliseconds(expected)));
    std::string emptied;
    for (const auto& host : plan.value("emptied", Json::array()))
        emptied += (emptied.empty() ? "" : ", ") + printable(host.get<std::string>());
    if (!emptied.empty()) out += fmt::format("may be powered off afterwards: {}\n", emptied);
    if (plan.value("cut", false)) out += "The time budget ended the search: another run may find another plan.\n";
    return out;
}

std::string rebalance_text(const Json& result) {
    std::string out = lines_of(result, "failed", "failed") + lines_of(result, "cancelled", "not moved") +
                      lines_of(result, "skipped", "left out");
    std::string moved;
    for (const auto& run : result.value("moved", Json::array()))
        moved +=
            (moved.empty() ? "" : ", ") + printable(fmt::format("{} to {}", text_at(run, "name"), text_at(run, "to")));
    out += fmt::format("moved: {}", moved.empty() ? "none" : moved);
    if (const auto replans = number_at(result, "replans"); replans > 0)
        out += fmt::format("\nthe rest was planned again {} time{}", replans, replans == 1 ? "" : "s");
    for (const auto& host : result.value("may_power_off", Json::array()))
        out += fmt::format("\n{} is empty: it may be powered off", printable(host.get<std::string>()));
    return out;
}

}  // namespace ballast::cli
