// `ballast memory`, `host memory` and `vm memory`: where the memory is, what is promised, how near the danger is.
#include <algorithm>
#include <cmath>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

using Heading = Table::Heading;

constexpr std::size_t bar_width = 20;
constexpr const char* default_resolution = "10s";
constexpr const char* default_vm_resolution = "1m";

bool structured(const Session& session) {
    return session.globals.format == Format::json || session.globals.format == Format::yaml;
}

Json part(const Json& row, const char* key) {
    const auto at = row.find(key);
    return at != row.end() && at->is_object() ? *at : Json::object();
}

double double_at(const Json& row, const char* key) {
    const auto at = row.find(key);
    return at != row.end() && at->is_number() ? at->get<double>() : 0;
}

std::string size_at(const Json& row, const char* key) {
    return row.contains(key) ? to_string(Bytes(number_at(row, key))) : "";
}

/// A size that is only worth a word where there is one.
std::string size_if_any(const Json& row, const char* key) {
    return number_at(row, key) == 0 ? "" : size_at(row, key);
}

std::string percent(double share) {
    if (share <= 0) return "0 %";
    if (share < 0.000'1) return "< 0.01 %";
    return share < 0.01 ? fmt::format("{:.2f} %", share * 100) : fmt::format("{:.0f} %", share * 100);
}

Colour colour_of_level(std::string_view level) {
    if (level == "comfortable") return Colour::green;
    if (level == "tight") return Colour::yellow;
    return level == "pressed" || level == "critical" ? Colour::red : Colour::none;
}

Column text(std::string title, const char* key, bool flexible = false) {
    return {Heading{.text = std::move(title), .right = false, .flexible = flexible},
            [key](const Json& row, Api&) { return Cell{text_at(row, key), Colour::none}; }};
}

Column level(std::string title) {
    return {Heading{.text = std::move(title)}, [](const Json& row, Api&) {
                const std::string word = text_at(row, "level");
                return Cell{word, colour_of_level(word)};
            }};
}

Column made(std::string title, std::string (*make)(const Json&, const char*), const char* key) {
    return {Heading{.text = std::move(title), .right = true},
            [make, key](const Json& row, Api&) { return Cell{make(row, key), Colour::none}; }};
}

std::string risk_at(const Json& row, const char* key) {
    return row.contains(key) ? percent(double_at(row, key)) : "";
}

std::string count_at(const Json& row, const char* key) {
    return row.contains(key) ? fmt::format("{}", number_at(row, key)) : "";
}

/// "96 GiB (1.5x)": of the memory that there is.
std::string promised_at(const Json& row, const char* key) {
    const auto total = number_at(row, "total_bytes");
    if (total <= 0) return "";
    return fmt::format("{} ({:.1f}x)", size_at(row, key), double_at(row, key) / static_cast<double>(total));
}

const View& memory_view() {
    static const View view{
        .kind = "host",
        .columns = {text("HOST", "name", true), text("POLICY", "policy"), level("LEVEL"),
                    made("TOTAL", size_at, "total_bytes"), made("FREE", size_at, "free_bytes"),
                    made("PROMISED", promised_at, "promised_bytes"), made("BALLOONED", size_if_any, "ballooned_bytes"),
                    made("SAVED", size_if_any, "saved_bytes"), made("RISK", risk_at, "risk"),
                    made("UNMET", size_if_any, "unmet_bytes"), made("VMS", count_at, "vms"),
                    text("NOTE", "note", true)}};
    return view;
}

std::string note_of(const Json& now) {
    if (now.empty()) return "not read yet";
    if (const auto why = text_at(now, "standing_back"); !why.empty()) return why;
    if (!now.value("admits", true)) return "takes no more VMs";
    return text_at(now, "sight") == "unreadable" ? "its exporter can't be read" : "";
}

Json line_of(const Json& host) {
    const Json now = part(host, "now");
    Json row{{"name", text_at(host, "name")}, {"policy", text_at(host, "policy")}};
    row.update(now);
    row["note"] = note_of(now);
    return row;
}

Json sum_line(const Json& sums) {
    Json row = sums;
    row["name"] = fmt::format("all {}", number_at(sums, "hosts"));
    row["level"] = number_at(sums, "hosts_read") > 0 ? text_at(sums, "worst_level") : "";
    row["risk"] = double_at(sums, "highest_risk");
    const auto missing = number_at(sums, "hosts") - number_at(sums, "hosts_read");
    row["note"] = missing > 0 ? fmt::format("{} not read yet", missing) : "level and risk of the worst";
    return row;
}

Outcome<> memory(Session& session) {
    const auto read = [](Api& api) { return read_row(api, "/api/v1/memory"); };
    if (structured(session)) return session.print_one(memory_view(), read);
    const bool with_sums = session.globals.format == Format::table;
    return session.print_list(memory_view(), [read, with_sums](Api& api) -> Outcome<Json> {
        BALLAST_TRY(const auto answer, read(api));
        Json rows = Json::array();
        for (const auto& host : answer.value("hosts", Json::array())) rows.push_back(line_of(host));
        if (with_sums) rows.push_back(sum_line(part(answer, "sums")));
        return rows;
    });
}

std::string seconds_at(const Json& row, const char* key) {
    return fmt::format("{} s", number_at(row, key));
}

const View& history_view() {
    static const View view{
        .kind = "",
        .columns = {text("TIME", "at"), level("WORST"), made("FREE", size_at, "free_bytes"),
                    made("LEAST FREE", size_at, "least_free_bytes"), made("IN USE", size_at, "guest_in_use_bytes"),
                    made("BALLOONED", size_if_any, "ballooned_bytes"), made("SAVED", size_if_any, "saved_bytes"),
                    made("RISK", risk_at, "risk"), made("UNMET", size_if_any, "most_unmet_bytes"),
                    made("VMS", count_at, "vms"), made("WATCHED", seconds_at, "watched_s")},
        .name = [](const Json& row) { return text_at(row, "at"); }};
    return view;
}

std::int64_t part_size(const Json& row, std::string_view name) {
    for (const auto& one : row.value("parts", Json::array()))
        if (text_at(one, "part") == name) return number_at(one, "size_bytes");
    return 0;
}

Outcome<> history(Session& session, const std::string& name, const std::string& resolution) {
    const auto read = [path = fmt::format("/api/v1/hosts/{}/memory/history?resolution={}&limit=5000", encoded(name),
                                          encoded(resolution))](Api& api) { return read_row(api, path); };
    if (structured(session)) return session.print_one(history_view(), read);
    return session.print_list(history_view(), [read](Api& api) -> Outcome<Json> {
        BALLAST_TRY(const auto answer, read(api));
        Json rows = answer.value("items", Json::array());
        for (auto& row : rows) {
            row["free_bytes"] = part_size(row, "free");
            row["guest_in_use_bytes"] = part_size(row, "guest in use");
        }
        return rows;
    });
}

std::string seconds_if_any(const Json& row, const char* key) {
    return number_at(row, key) > 0 ? seconds_at(row, key) : "";
}

const View& vm_history_view() {
    static const View view{
        .kind = "",
        .columns = {text("TIME", "at"), made("HAS", size_at, "balloon_bytes"),
                    made("NEEDS", size_at, "working_set_bytes"), made("CACHE", size_at, "page_cache_bytes"),
                    made("RESIDENT", size_at, "resident_bytes"), made("LACKED", seconds_if_any, "lacked_s"),
                    Column{Heading{.text = "BELIEVED"},
                           [](const Json& row, Api&) {
                               const bool believed = row.value("believed", true);
                               return Cell{believed ? "yes" : "no", believed ? Colour::none : Colour::yellow};
                           }},
                    made("WATCHED", seconds_at, "watched_s")},
        .name = [](const Json& row) { return text_at(row, "at"); }};
    return view;
}

Outcome<> vm_history(Session& session, const std::string& name, const std::string& resolution) {
    const auto read = [path = fmt::format("/api/v1/vms/{}/memory/history?resolution={}&limit=5000", encoded(name),
                                          encoded(resolution))](Api& api) { return read_row(api, path); };
    if (structured(session)) return session.print_one(vm_history_view(), read);
    return session.print_list(vm_history_view(), [read](Api& api) -> Outcome<Json> {
        BALLAST_TRY(const auto answer, read(api));
        return answer.value("items", Json::array());
    });
}

/// Labelled lines beneath a table.
class Lines {
  public:
    void add(std::string_view label, const std::string& words) {
        if (!words.empty()) text_ += fmt::format("{:<15} {}\n", fmt::format("{}:", label), printable(words));
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

std::string with_why(std::string words, const std::string& why) {
    if (!why.empty()) words += ": " + why;
    return words;
}

Table parts_table(const Json& row) {
    const auto total = number_at(row, "total_bytes");
    Table table{.headings = {{.text = "WHERE"}, {.text = "SIZE", .right = true}, {.text = "SHARE"}}, .rows = {}};
    for (const auto& one : row.value("parts", Json::array())) {
        const auto size = number_at(one, "size_bytes");
        const int share =
            total > 0 ? static_cast<int>(std::lround(100.0 * static_cast<double>(size) / static_cast<double>(total)))
                      : 0;
        table.rows.push_back({{text_at(one, "part"), Colour::none},
                              {to_string(Bytes(size)), Colour::none},
                              {bar(share, bar_width), Colour::none}});
    }
    table.rows.push_back({{"total", Colour::bold}, {to_string(Bytes(total)), Colour::bold}, {"", Colour::none}});
    return table;
}

std::string promises_sentence(const Json& row) {
    const Json promises = part(row, "promises");
    const auto total = number_at(row, "total_bytes");
    const double times = total > 0 ? double_at(promises, "promised_bytes") / static_cast<double>(total) : 0;
    return fmt::format("{} to {} VMs, {:.1f} times its memory: {} resident, {} ballooned, {} never touched",
                       size_at(promises, "promised_bytes"), row.value("vms", Json::array()).size(), times,
                       size_at(promises, "resident_guest_bytes"), size_at(promises, "ballooned_bytes"),
                       size_at(promises, "never_touched_bytes"));
}

std::string level_sentence(const Json& row, Timestamp now) {
    std::string words = fmt::format("{} for {}", text_at(row, "level"), age(text_at(row, "level_since"), now));
    if (!row.value("admits", true)) words += ", takes no more VMs";
    return with_why(std::move(words), text_at(row, "level_why"));
}

std::string risk_sentence(const Json& row) {
    const Json risk = part(row, "risk");
    const auto missing = number_at(risk, "missing_bytes");
    std::string words = text_at(risk, "words");
    if (words.empty()) words = percent(double_at(risk, "risk"));
    return missing > 0 ? fmt::format("{}; {} are missing", words, to_string(Bytes(missing))) : words;
}

std::string sharing_sentence(const Json& row) {
    const Json ksm = part(row, "ksm");
    const std::string state = text_at(ksm, "state");
    if (state == "absent") return with_why("the host has no KSM", text_at(ksm, "why"));
    std::string words = fmt::format("{}, saves {}", state, size_at(ksm, "saved_bytes"));
    const Json expected = part(ksm, "expected");
    if (number_at(expected, "high_bytes") > 0)
        words += fmt::format(" of {} to {} that are expected", size_at(expected, "low_bytes"),
                             size_at(expected, "high_bytes"));
    if (const double cpu = double_at(ksm, "estimated_cpu_share"); cpu > 0)
        words += fmt::format(", takes about {} of a core (an estimate) and gains {:.0f} pages per CPU second",
                             percent(cpu), double_at(ksm, "gain_pages_per_cpu_second"));
    return with_why(std::move(words), text_at(ksm, "why"));
}

/// Whose the settings of page merging are; empty where nobody set any.
std::string ksm_hand(const Json& ksm) {
    const std::int64_t set = number_at(part(ksm, "set"), "pages_to_scan");
    const std::int64_t found = number_at(part(ksm, "found"), "pages_to_scan");
    if (text_at(ksm, "state") == "foreign") {
        const std::string until = text_at(ksm, "stands_back_until");
        return fmt::format("; somebody else's, Ballast had set {}{}", set,
                           until.empty() ? "" : " and stands back until " + until);
    }
    if (ksm.value("managed", false)) return fmt::format("; Ballast sets {}, and found {}", set, found);
    return "; Ballast leaves them as they are";
}

/// As the host had them when it was read, so what is set by that sweep is not in them yet.
std::string ksm_settings_sentence(const Json& row) {
    const Json ksm = part(row, "ksm");
    const Json now = part(ksm, "now");
    if (now.empty()) return "";
    return fmt::format("{} pages every {} ms, merged {} NUMA nodes{}", number_at(now, "pages_to_scan"),
                       number_at(now, "sleep_ms"), now.value("merge_across_nodes", true) ? "across" : "within",
                       ksm_hand(ksm));
}

std::string exporter_sentence(const Json& row) {
    const Json exporter = part(row, "exporter");
    const std::string sight = text_at(exporter, "sight");
    const std::string url = text_at(exporter, "url");
    if (sight == "full") return "pressure and swapping are read" + (url.empty() ? "" : " from " + url);
    if (sight == "blind" && !url.empty())
        return fmt::format("{} has not shown pressure or swapping yet, so the reserve is larger", url);
    if (sight == "blind")
        return "none: neither pressure nor swapping is seen, so the reserve is larger (`ballast host set --exporter`)";
    return with_why(fmt::format("{} can't be read, so the reserve is larger", url), text_at(exporter, "why"));
}

/// Why its balloon stays, or what is wrong with what the guest says.
std::string vm_note(const Json& vm) {
    const std::string why = text_at(part(vm, "working_set"), "why");
    const std::string alone = text_at(vm, "left_alone");
    return why.empty() || why == alone ? alone : alone.empty() ? why : alone + "; " + why;
}

Table vms_table(const Json& row) {
    Table table{.headings = {{.text = "VM", .right = false, .flexible = true},
                             {.text = "POLICY"},
                             {.text = "MINIMUM", .right = true},
                             {.text = "MAXIMUM", .right = true},
                             {.text = "HAS", .right = true},
                             {.text = "TARGET", .right = true},
                             {.text = "NEEDS", .right = true},
                             {.text = "IDLE", .right = true},
                             {.text = "BELIEVED"},
                             {.text = "NOTE", .right = false, .flexible = true}},
                .rows = {}};
    for (const auto& vm : row.value("vms", Json::array())) {
        const Json set = part(vm, "working_set");
        const bool trusted = text_at(set, "trust") == "trusted";
        const std::string note = vm_note(vm);
        table.rows.push_back({{printable(text_at(vm, "name")), Colour::none},
                              {text_at(vm, "policy"), Colour::none},
                              {size_at(vm, "minimum_bytes"), Colour::none},
                              {size_at(vm, "maximum_bytes"), Colour::none},
                              {size_at(vm, "balloon_bytes"), Colour::none},
                              {size_at(vm, "target_bytes"), Colour::none},
                              {size_at(set, "size_bytes"), Colour::none},
                              {percent(double_at(set, "idle")), Colour::none},
                              {trusted ? "yes" : "no", trusted ? Colour::none : Colour::yellow},
                              {note.empty() ? "-" : printable(note), Colour::none}});
    }
    return table;
}

std::string print_table(const Session& session, const Table& table) {
    const World& world = session.world();
    return render_table(table, world.out_is_terminal ? world.width : 0, world.colours());
}

std::string sentences(const Json& row, Timestamp now) {
    Lines lines;
    lines.add("policy", text_at(row, "policy"));
    lines.add("promised", promises_sentence(row));
    lines.add("level", level_sentence(row, now));
    lines.add("risk", risk_sentence(row));
    lines.add("missing", number_at(row, "unmet_bytes") > 0
                             ? size_at(row, "unmet_bytes") + " to working sets and their margins"
                             : "");
    lines.add("page sharing", sharing_sentence(row));
    lines.add("its settings", ksm_settings_sentence(row));
    lines.add("exporter", exporter_sentence(row));
    lines.add("standing back", text_at(row, "standing_back"));
    lines.add("read", age(text_at(row, "at"), now) + " ago");
    return lines.text();
}

Outcome<> host_memory(Session& session, const std::string& name) {
    const auto read = [path = fmt::format("/api/v1/hosts/{}/memory", encoded(name))](Api& api) {
        return read_row(api, path);
    };
    if (session.globals.format != Format::table) return session.print_one(memory_view(), read);
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto row, read(*api));
    session.out() << print_table(session, parts_table(row)) << "\n" << sentences(row, session.world().now());
    if (!row.value("vms", Json::array()).empty()) session.out() << "\n" << print_table(session, vms_table(row));
    return {};
}

std::string asks_sentence(const Json& row) {
    const Json asks = part(row, "overcommit");
    return fmt::format("{}; {} shares, priority {}, {}, {}", text_at(part(row, "now"), "policy"),
                       number_at(asks, "shares"), number_at(asks, "priority"),
                       asks.value("merge", true) ? "may share pages" : "shares no pages",
                       asks.value("may_suspend", false) ? "may be suspended" : "is never suspended");
}

std::string needs_sentence(const Json& set) {
    std::string words =
        fmt::format("{}, idle {}; over a day {} give or take {}", size_at(set, "size_bytes"),
                    percent(double_at(set, "idle")), size_at(set, "mean_bytes"), size_at(set, "deviation_bytes"));
    if (set.value("lacks", false)) words += "; it swaps or faults: it has less than it needs";
    return words;
}

Outcome<> vm_memory(Session& session, const std::string& name) {
    const auto read = [path = fmt::format("/api/v1/vms/{}/memory", encoded(name))](Api& api) {
        return read_row(api, path);
    };
    if (session.globals.format != Format::table) return session.print_one(memory_view(), read);
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto row, read(*api));
    const Json now = part(row, "now");
    const Json set = part(now, "working_set");
    const bool trusted = text_at(set, "trust") == "trusted";
    Lines lines;
    lines.add("host", fmt::format("{}, {}", api->host_name(text_at(row, "host")), text_at(row, "host_level")));
    lines.add("has",
              fmt::format("{}, is to have {}; at least {}, at most {}", size_at(now, "balloon_bytes"),
                          size_at(now, "target_bytes"), size_at(now, "minimum_bytes"), size_at(now, "maximum_bytes")));
    lines.add("needs", trusted ? needs_sentence(set) : "");
    lines.add("of that", trusted ? fmt::format("{} page cache, {} unused", size_at(set, "page_cache_bytes"),
                                               size_at(set, "unused_bytes"))
                                 : "");
    lines.add("not believed", trusted ? "" : with_why("it counts at full size", text_at(set, "why")));
    lines.add("on the host", fmt::format("{} resident, {} of it QEMU's own", size_at(now, "resident_bytes"),
                                         size_at(now, "overhead_bytes")));
    lines.add("policy", asks_sentence(row));
    lines.add("alike", text_at(now, "group"));
    lines.add("left alone", text_at(now, "left_alone"));
    lines.add("pending", text_at(row, "pending"));
    lines.add("standing back", text_at(row, "standing_back"));
    lines.add("read", age(text_at(row, "at"), session.world().now()) + " ago");
    session.out() << lines.text();
    return {};
}

}  // namespace

void add_memory_command(CLI::App& app, Session& session) {
    on(app.add_subcommand("memory", "Memory of every host: free, promised, at risk"), session, memory);
}

void add_host_memory_command(CLI::App& host, Session& session) {
    const auto resolution = std::make_shared<std::string>();
    CLI::App* command = named(host, "memory", "Where every GiB of a host is, and what becomes of it", session,
                              [resolution](Session& s, const std::string& name) {
                                  return resolution->empty() ? host_memory(s, name) : history(s, name, *resolution);
                              });
    command
        ->add_option("--history", *resolution,
                     "Over time instead: 10s (an hour; when nothing is said), 1m (a day) or 10m (30 days)")
        ->expected(0, 1)
        ->default_str(default_resolution)
        ->check(CLI::IsMember({"10s", "1m", "10m"}))
        ->type_name("STEP");
}

void add_vm_memory_command(CLI::App& vm, Session& session) {
    const auto resolution = std::make_shared<std::string>();
    CLI::App* command = named(vm, "memory", "What a running VM has of its memory, needs and is to get", session,
                              [resolution](Session& s, const std::string& name) {
                                  return resolution->empty() ? vm_memory(s, name) : vm_history(s, name, *resolution);
                              });
    command
        ->add_option("--history", *resolution, "Over time instead: 1m (a day; when nothing is said) or 10m (30 days)")
        ->expected(0, 1)
        ->default_str(default_vm_resolution)
        ->check(CLI::IsMember({"1m", "10m"}))
        ->type_name("STEP");
}

}  // namespace ballast::cli
