#include "cli/views.h"

#include <algorithm>
#include <chrono>

namespace ballast::cli {
namespace {

using Heading = Table::Heading;

Timestamp now() {
    return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
}

Column text(std::string title, const char* key, bool flexible = false) {
    return {Heading{.text = std::move(title), .right = false, .flexible = flexible},
            [key](const Json& row, Api&) { return Cell{text_at(row, key), Colour::none}; }};
}

Column state(std::string title, const char* key) {
    return {Heading{.text = std::move(title)}, [key](const Json& row, Api&) {
                const std::string word = text_at(row, key);
                return Cell{word, colour_of_state(word)};
            }};
}

Column made(std::string title, std::function<std::string(const Json&, Api&)> make, bool right = false,
            bool flexible = false) {
    return {Heading{.text = std::move(title), .right = right, .flexible = flexible},
            [make = std::move(make)](const Json& row, Api& api) { return Cell{make(row, api), Colour::none}; }};
}

Column size(std::string title, const char* key) {
    return made(
        std::move(title),
        [key](const Json& row, Api&) {
            const auto count = number_at(row, key);
            return count > 0 ? to_string(Bytes(count)) : "";
        },
        true);
}

Column number(std::string title, const char* key) {
    return made(
        std::move(title),
        [key](const Json& row, Api&) { return row.contains(key) && row[key].is_number() ? dump(row[key]) : ""; }, true);
}

Column duration(std::string title, const char* key) {
    return made(
        std::move(title),
        [key](const Json& row, Api&) {
            return row.contains(key) && row[key].is_number() ? to_string(Milliseconds(number_at(row, key))) : "";
        },
        true);
}

Column since(std::string title, const char* key) {
    return made(
        std::move(title),
        [key](const Json& row, Api&) {
            const std::string time = text_at(row, key);
            return time.empty() ? "" : age(time, now());
        },
        true);
}

Column host(std::string title, const char* key) {
    return made(std::move(title), [key](const Json& row, Api& api) { return api.host_name(text_at(row, key)); });
}

Column yes(std::string title, const char* key) {
    return made(std::move(title), [key](const Json& row, Api&) { return row.value(key, false) ? "yes" : "no"; });
}

std::string words_of(const Json& row, const char* key) {
    std::string out;
    for (const auto& item : row.value(key, Json::array()))
        if (item.is_string()) out += (out.empty() ? "" : "; ") + item.get<std::string>();
    return out;
}

Json part(const Json& row, const char* key) {
    const auto at = row.find(key);
    return at != row.end() && at->is_object() ? *at : Json::object();
}

std::string host_memory(const Json& row, Api&) {
    const Json settings = part(row, "settings");
    const auto capacity = number_at(settings, "memory_capacity_bytes");
    const auto total = capacity > 0 ? capacity : number_at(part(row, "facts"), "memory_bytes");
    return total > 0 ? to_string(Bytes(total)) : "";
}

std::string host_cpus(const Json& row, Api&) {
    const auto capacity = number_at(part(row, "settings"), "cpu_capacity");
    const auto cpus = capacity > 0 ? capacity : number_at(part(row, "facts"), "cpus");
    return cpus > 0 ? fmt::format("{}", cpus) : "";
}

std::string host_versions(const Json& row, Api&) {
    const auto version = [&](const char* key) {
        const auto number = number_at(part(row, "facts"), key);
        return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
    };
    return number_at(part(row, "facts"), "qemu_version") > 0
               ? version("libvirt_version") + " / " + version("qemu_version")
               : "";
}

std::string vm_memory(const Json& row, Api&) {
    const auto most = number_at(part(row, "spec"), "memory_bytes");
    return most > 0 ? to_string(Bytes(most)) : "";
}

std::string vm_note(const Json& row, Api&) {
    const std::string alerts = words_of(row, "alerts");
    return alerts.empty() ? text_at(row, "state_reason") : alerts;
}

std::string job_error(const Json& row, Api&) {
    return text_at(part(row, "error"), "message");
}

std::string id_of(const Json& row) {
    return text_at(row, "id");
}

std::string dashed(std::string word) {
    std::ranges::replace(word, '_', '-');
    return word;
}

double double_at(const Json& row, const char* key) {
    const auto at = row.find(key);
    return at != row.end() && at->is_number() ? at->get<double>() : 0;
}

std::string share(const Json& row, const char* key) {
    return number_at(row, "migrations") > 0 ? fmt::format("{:.0f} %", double_at(row, key) * 100) : "";
}

/// "8 % / 21 %": |actual - forecast| / actual.
std::string error_text(const Json& row, const char* key) {
    const Json error = part(row, key);
    if (number_at(error, "samples") == 0) return {};
    return fmt::format("{:.0f} % / {:.0f} %", double_at(error, "median") * 100, double_at(error, "p90") * 100);
}

std::string accuracy_scope(const Json& row, Api& api) {
    if (const auto mode = text_at(row, "mode"); !mode.empty()) return dashed(mode);
    const std::string from = text_at(row, "from");
    return from.empty() ? "all" : fmt::format("{} to {}", api.host_name(from), api.host_name(text_at(row, "to")));
}

std::string pair_reasons(const Json& row, Api&) {
    const std::string worst = pair_verdict(row);
    std::string out;
    if (worst == "ok") return out;
    for (const auto& check : row.value("checks", Json::array()))
        if (text_at(check, "verdict") == worst)
            out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", text_at(check, "name"), text_at(check, "detail"));
    return out;
}

}  // namespace

std::string pair_verdict(const Json& pair) {
    for (const char* verdict : {"refused", "unknown", "warning"})
        for (const auto& check : pair.value("checks", Json::array()))
            if (text_at(check, "verdict") == verdict) return verdict;
    return "ok";
}

std::string text_at(const Json& row, const char* key) {
    if (!row.is_object()) return {};
    const auto at = row.find(key);
    return at != row.end() && at->is_string() ? at->get<std::string>() : "";
}

std::int64_t number_at(const Json& row, const char* key) {
    if (!row.is_object()) return 0;
    const auto at = row.find(key);
    return at != row.end() && at->is_number() ? at->get<std::int64_t>() : 0;
}

const View& host_view() {
    static const View view{.kind = "host",
                           .columns = {text("NAME", "name", true), state("STATE", "state"), yes("MANAGED", "managed"),
                                       made("CPUS", host_cpus, true), made("MEMORY", host_memory, true),
                                       made("LIBVIRT / QEMU", host_versions), text("URI", "uri", true),
                                       text("REASON", "state_reason", true)},
                           .hidden = {"facts.cpu_models", "facts.machine_types"}};
    return view;
}

const View& vm_view() {
    static const View view{
        .kind = "vm",
        .columns = {
            text("NAME", "name", true), state("STATE", "state"), host("HOST", "host"),
            made(
                "VCPUS", [](const Json& row, Api&) { return fmt::format("{}", number_at(part(row, "spec"), "vcpus")); },
                true),
            made("MEMORY", vm_memory, true), size("NOW", "balloon_bytes"), yes("MANAGED", "managed"),
            since("SINCE", "state_since"), made("NOTE", vm_note, false, true)}};
    return view;
}

const View& pool_view() {
    static const View view{
        .kind = "pool",
        .columns = {text("NAME", "name"), host("HOST", "host"), text("TYPE", "type"), yes("ACTIVE", "active"),
                    size("CAPACITY", "capacity_bytes"), size("FREE", "available_bytes"), text("PATH", "path", true)}};
    return view;
}

const View& volume_view() {
    static const View view{
        .kind = "volume",
        .columns = {text("NAME", "name", true), text("POOL", "pool"), host("HOST", "host"), state("STATE", "state"),
                    text("FORMAT", "format"), size("CAPACITY", "capacity_bytes"),
                    made("VM", [](const Json& row, Api& api) { return api.vm_name(text_at(row, "vm")); }),
                    text("ID", "id", true)}};
    return view;
}

const View& image_view() {
    static const View view{
        .kind = "image",
        .columns = {text("NAME", "name", true), state("STATE", "state"), text("POOL", "pool"), host("HOST", "host"),
                    text("FORMAT", "format"), size("CAPACITY", "capacity_bytes"), size("SIZE", "size_bytes"),
                    made("BOOT", [](const Json& row,
                                    Api&) { return text_at(part(row, "boot"), "kernel").empty() ? "disk" : "kernel"; }),
                    since("AGE", "created")}};
    return view;
}

const View& job_view() {
    static const View view{
        .kind = "job",
        .columns = {text("ID", "id"), text("KIND", "kind"), text("SUBJECT", "subject", true), state("STATE", "state"),
                    text("ACTOR", "actor", true), since("AGE", "created"), made("ERROR", job_error, false, true)},
        .name = id_of,
        .hidden = {"memo"}};
    return view;
}

const View& migration_view() {
    static const View view{
        .kind = "migration",
        .columns = {text("ID", "id"),
                    made(
                        "VM", [](const Json& row, Api& api) { return api.vm_name(text_at(row, "vm")); }, false, true),
                    host("FROM", "from"), host("TO", "to"), text("MODE", "mode"), state("PHASE", "phase"),
                    made(
                        "ROUNDS",
                        [](const Json& row, Api&) {
                            return fmt::format("{}", row.value("rounds", Json::array()).size());
                        },
                        true),
                    duration("TOTAL", "total_ms"), duration("DOWNTIME", "downtime_ms"), size("SENT", "sent_bytes"),
                    since("AGE", "started"), text("REASON", "phase_reason", true)},
        .name = id_of,
        .hidden = {"rounds", "forecast"}};
    return view;
}

const View& plan_view() {
    static const View view{
        .kind = "plan",
        .columns = {text("ID", "id"), text("GOAL", "goal"), state("STATE", "state"), number("MOVES", "moves"),
                    text("BY", "actor"), since("MADE", "made"), text("JOB", "job"), text("VERDICT", "verdict", true),
                    text("REASON", "state_reason", true)},
        .name = [](const Json& row) { return text_at(row, "id"); }};
    return view;
}

const View& round_view() {
    static const View view{
        .kind = "migration",
        .columns = {number("ROUND", "round"), duration("AT", "at_ms"), duration("TOOK", "duration_ms"),
                    size("SENT IN IT", "in_it_bytes"), size("SENT", "sent_bytes"), size("LEFT", "remaining_bytes"),
                    made(
                        "THROUGHPUT",
                        [](const Json& row, Api&) { return rate_text(number_at(row, "throughput_bytes_per_second")); },
                        true),
                    number("DIRTY PAGES/S", "dirty_pages_per_second")},
        .name = [](const Json& row) { return fmt::format("{}", number_at(row, "round")); }};
    return view;
}

const View& queue_view() {
    static const View view{
        .kind = "migration",
        .columns = {number("NEXT", "position"),
                    made(
                        "VM", [](const Json& row, Api& api) { return api.vm_name(text_at(row, "vm")); }, false, true),
                    text("JOB", "job"), text("START", "start"), text("END", "end"), yes("LATE", "late"),
                    text("WAITS FOR", "waits", true)},
        .name = [](const Json& row) { return text_at(row, "job"); }};
    return view;
}

const View& accuracy_view() {
    static const View view{
        .kind = "migration",
        .columns = {made("OF", accuracy_scope, false, true), number("MIGRATIONS", "migrations"),
                    made("TOTAL MEDIAN/P90", [](const Json& row, Api&) { return error_text(row, "total"); }),
                    made("BYTES MEDIAN/P90", [](const Json& row, Api&) { return error_text(row, "bytes"); }),
                    made("DOWNTIME MEDIAN/P90", [](const Json& row, Api&) { return error_text(row, "downtime"); }),
                    made("DOWNTIME WITHIN X1.5", [](const Json& row, Api&) { return share(row, "downtime_within"); }),
                    made("TOTAL IN RANGE", [](const Json& row, Api&) { return share(row, "total_inside"); })},
        .name = [](const Json& row) { return text_at(row, "mode"); }};
    return view;
}

const View& compatibility_view() {
    static const View view{
        .kind = "",
        .columns = {made("MODE", [](const Json& row, Api&) { return dashed(text_at(row, "mode")); }),
                    made("KNOB", [](const Json& row, Api&) { return dashed(text_at(row, "knob")); }),
                    made("WITH", [](const Json& row, Api&) { return dashed(text_at(row, "with")); }),
                    yes("SUPPORTED", "supported"), text("NEEDS", "needs", true), text("WHY NOT", "reason", true),
                    text("INSTEAD", "way_out", true)},
        .name = [](const Json& row) { return fmt::format("{} {}", text_at(row, "mode"), text_at(row, "knob")); }};
    return view;
}

const View& event_view() {
    static const View view{.kind = "event",
                           .columns = {number("SEQ", "seq"), text("TIME", "time"), text("KIND", "kind"),
                                       text("SUBJECT", "subject_name", true), text("ACTOR", "actor", true),
                                       text("MESSAGE", "message", true)},
                           .name = [](const Json& row) { return fmt::format("{}", number_at(row, "seq")); }};
    return view;
}

const View& token_view() {
    static const View view{
        .kind = "token",
        .columns = {text("NAME", "name", true), text("RIGHT", "right"), text("ID", "id", true), since("AGE", "created"),
                    text("EXPIRES", "expires"), made("STATE", [](const Json& row, Api&) {
                        return text_at(row, "revoked").empty() ? "active" : "revoked";
                    })}};
    return view;
}

const View& pair_view() {
    static const View view{
        .kind = "pair",
        .columns = {host("FROM", "from"),
                    host("TO", "to"),
                    {Heading{.text = "VERDICT"},
                     [](const Json& row, Api&) {
                         const std::string verdict = pair_verdict(row);
                         return Cell{verdict, colour_of_state(verdict)};
                     }},
                    made("SHARED POOLS", [](const Json& row, Api&) { return words_of(row, "shared_pools"); }),
                    since("CHECKED", "checked"),
                    made("WHY", pair_reasons, false, true)},
        .name = id_of};
    return view;
}

const View& check_view() {
    static const View view{.kind = "pair",
                           .columns = {text("CHECK", "name"), state("VERDICT", "verdict"),
                                       text("FOUND", "detail", true), text("WAY OUT", "way_out", true)}};
    return view;
}

}  // namespace ballast::cli
