#include <algorithm>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* migrations = "/api/v1/migrations";

std::string path_of(const std::string& id) {
    return fmt::format("{}/{}", migrations, encoded(id));
}

struct ListOptions {
    std::string vm;
    std::size_t limit = 50;
};

void add_list(CLI::App& migration, Session& session) {
    const auto options = std::make_shared<ListOptions>();
    CLI::App* list = migration.add_subcommand("list", "The latest migrations");
    list->add_option("--vm", options->vm, "Only those of this VM");
    list->add_option("--limit", options->limit, "At most so many; 0: all");
    on(list, session, [options](Session& s) {
        const std::string query = Query().add("sort", "-id").add("vm", options->vm).str();
        return s.print_list(migration_view(),
                            [query, options](Api& api) { return api.list(migrations + query, options->limit); });
    });
}

/// Each round with what it alone took and sent, as in figure 5 and following of Clark et al., NSDI 2005.
Json with_differences(Json rounds) {
    std::int64_t at = 0;
    std::int64_t sent = 0;
    for (auto& round : rounds) {
        round["duration_ms"] = number_at(round, "at_ms") - std::exchange(at, number_at(round, "at_ms"));
        round["in_it_bytes"] = number_at(round, "sent_bytes") - std::exchange(sent, number_at(round, "sent_bytes"));
    }
    return rounds;
}

/// The forecast of the mode that ran, in words; the whole of it is in `-o json`.
Json with_expectation(Json row) {
    const Json forecast = row.value("forecast", Json());
    if (!forecast.is_object()) return row;
    for (const auto& mode : forecast.value("modes", Json::array())) {
        if (text_at(mode, "mode") != text_at(row, "mode")) continue;
        row["expected"] = Json{{"total", range_text(mode.value("total", Json()))},
                               {"downtime", range_text(mode.value("downtime", Json()))},
                               {"sent", range_text(mode.value("bytes", Json()))}};
    }
    return row;
}

void add_show(CLI::App& migration, Session& session) {
    const auto rounds = std::make_shared<bool>(false);
    CLI::App* show = named(
        migration, "show", "One migration: what it moved, how long it took, and what was expected", session,
        [rounds](Session& s, const std::string& id) {
            const bool table = s.globals.format == Format::table;
            const auto read = [id](Api& api) { return read_row(api, path_of(id)); };
            if (!*rounds)
                return s.print_one(migration_view(), [read, table](Api& api) -> Outcome<Json> {
                    BALLAST_TRY(auto row, read(api));
                    return table ? with_expectation(std::move(row)) : row;
                });
            return s.print_list(round_view(), [read, table](Api& api) -> Outcome<Json> {
                BALLAST_TRY(const auto row, read(api));
                Json list = row.value("rounds", Json::array());
                return table ? with_differences(std::move(list)) : list;
            });
        },
        "Id (that of its job)");
    show->add_flag("--rounds", *rounds, "The table of its rounds");
}

Outcome<> tell(Session& session, const std::string& id, const std::string& verb, const Json& body,
               const std::string& done) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(id) + "/" + verb, body));
    return session.print_done(answer.body, fmt::format("migration {} {}", id, done));
}

void add_verbs(CLI::App& migration, Session& session) {
    const std::string what = "Id (that of its job)";
    named(
        migration, "finish", "Stop the guest now and copy the rest", session,
        [](Session& s, const std::string& id) {
            return tell(s, id, "finish", Json::object(), "stops the guest and copies the rest");
        },
        what);
    named(
        migration, "switch", "Switch to post-copy now", session,
        [](Session& s, const std::string& id) -> Outcome<> {
            BALLAST_CHECK(
                s.confirm("Switch to post-copy? While memory is pulled, a failure of either host loses the "
                          "VM's running state."));
            return tell(s, id, "switch", Json::object(), "switches to post-copy");
        },
        what);
    named(
        migration, "resume", "Resume a post-copy that broke, at once", session,
        [](Session& s, const std::string& id) { return tell(s, id, "resume", Json::object(), "is being resumed"); },
        what);
    named(
        migration, "cancel", "Stop it; the VM stays where it is (the same as `job cancel`)", session,
        [](Session& s, const std::string& id) -> Outcome<> {
            BALLAST_TRY(Api* const api, s.api());
            BALLAST_TRY(const auto answer,
                        api->write("POST", "/api/v1/jobs/" + encoded(id) + "/cancel", Json::object()));
            return s.print_done(answer.body, fmt::format("migration {} is asked to stop", id));
        },
        what);
}

struct TuneOptions {
    std::optional<int> downtime_ms;
    std::string bandwidth;
    std::string post_copy_bandwidth;
};

Outcome<> tune(Session& session, const std::string& id, const TuneOptions& options) {
    Json body = Json::object();
    if (options.downtime_ms) body["max_downtime_ms"] = *options.downtime_ms;
    if (!options.bandwidth.empty()) {
        BALLAST_TRY(body["bandwidth_bytes_per_second"], size_json("--bandwidth", options.bandwidth));
    }
    if (!options.post_copy_bandwidth.empty()) {
        BALLAST_TRY(body["post_copy_bandwidth_bytes_per_second"],
                    size_json("--post-copy-bandwidth", options.post_copy_bandwidth));
    }
    if (body.empty())
        return failing(Exit::usage, "nothing is changed", "`ballast migration tune --help` lists what can be");
    return tell(session, id, "tune", body, "has its new limits");
}

void add_tune(CLI::App& migration, Session& session) {
    const auto options = std::make_shared<TuneOptions>();
    CLI::App* command = named(
        migration, "tune", "Change limits of a migration while it runs", session,
        [options](Session& s, const std::string& id) { return tune(s, id, *options); }, "Id (that of its job)");
    command->add_option("--downtime", options->downtime_ms, "Longest pause of the guest, in ms")
        ->check(CLI::Range(1, 2'000'000));
    command->add_option("--bandwidth", options->bandwidth, "At most this many bytes per second (100M)")
        ->type_name("SIZE");
    command->add_option("--post-copy-bandwidth", options->post_copy_bandwidth, "The same after a switch to post-copy")
        ->type_name("SIZE");
}

Outcome<Json> read_items(Api& api, const char* name) {
    BALLAST_TRY(const auto body, read_row(api, fmt::format("{}/{}", migrations, name)));
    return body.value("items", Json::array());
}

/// All, then by mode, then by pair: one line each.
Json accuracy_lines(const Json& accuracy) {
    Json lines = Json::array();
    lines.push_back(accuracy.value("all", Json::object()));
    for (const char* key : {"by_mode", "by_pair"})
        for (const auto& line : accuracy.value(key, Json::array())) lines.push_back(line);
    return lines;
}

Outcome<> print_accuracy(Session& session) {
    if (session.globals.format != Format::table) {
        BALLAST_TRY(Api* const api, session.api());
        BALLAST_TRY(const auto accuracy, read_row(*api, std::string(migrations) + "/accuracy"));
        return session.print_done(accuracy, "");
    }
    return session.print_list(accuracy_view(), [](Api& api) -> Outcome<Json> {
        BALLAST_TRY(const auto accuracy, read_row(api, std::string(migrations) + "/accuracy"));
        return accuracy_lines(accuracy);
    });
}

Outcome<> print_compatibility(Session& session, const std::string& mode, bool all) {
    std::string wanted = mode;
    std::ranges::replace(wanted, '-', '_');
    return session.print_list(compatibility_view(), [wanted, all](Api& api) -> Outcome<Json> {
        BALLAST_TRY(const auto items, read_items(api, "compatibility"));
        Json rows = Json::array();
        for (const auto& row : items)
            if ((wanted.empty() || text_at(row, "mode") == wanted) && (all || text_at(row, "with").empty()))
                rows.push_back(row);
        return rows;
    });
}

void add_questions(CLI::App& migration, Session& session) {
    on(migration.add_subcommand("queue", "Migrations that wait for their lanes, and when they will end"), session,
       [](Session& s) { return s.print_list(queue_view(), [](Api& api) { return read_items(api, "queue"); }); });
    on(migration.add_subcommand("accuracy", "How far outcomes were from their forecasts"), session, print_accuracy);
    const auto mode = std::make_shared<std::string>();
    const auto all = std::make_shared<bool>(false);
    CLI::App* table = migration.add_subcommand("compatibility", "Which modes and knobs go together, and why not");
    table->add_option("--mode", *mode, "Only this mode");
    table->add_flag("--all", *all, "Every two knobs together, too");
    on(table, session, [mode, all](Session& s) { return print_compatibility(s, *mode, *all); });
}

}  // namespace

void add_migration_commands(CLI::App& app, Session& session) {
    CLI::App& migration = group(app, "migration", "Migrations, running and past");
    add_list(migration, session);
    add_show(migration, session);
    add_verbs(migration, session);
    add_tune(migration, session);
    add_questions(migration, session);
}

}  // namespace ballast::cli
