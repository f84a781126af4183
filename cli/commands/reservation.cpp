// `ballast reservation`: room for VMs to come.
#include <set>

#include "cli/commands/batch.h"
#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* reservations = "/api/v1/reservations";

struct CreateOptions {
    std::string lasts = "1h";
    std::string until;
    std::string note;
    BatchFlags batch;
    VmFlags vm;
};

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}", reservations, encoded(name));
}

Result<std::int64_t> seconds_of(const std::string& text) {
    const auto time = parse_timeout(text);
    if (time && *time >= Seconds(1)) return std::chrono::duration_cast<Seconds>(*time).count();
    return fail(Code::invalid_argument, "--for {}: write a time of a second at least, such as 30min, 2h or 7d", text);
}

Result<Json> body_of(const CreateOptions& options) {
    Json body{{"name", options.vm.name}};
    BALLAST_TRY(body["vms"], batch_json(options.batch, options.vm, options.vm.name));
    if (options.until.empty()) {
        BALLAST_TRY(body["lasts_s"], seconds_of(options.lasts));
    } else {
        body["expires"] = options.until;
    }
    if (!options.note.empty()) body["note"] = options.note;
    return body;
}

std::size_t places_of(const Json& row) {
    return row.value("claims", Json::array()).size();
}

Outcome<> create(Session& session, const CreateOptions& options) {
    BALLAST_TRY(const auto body, body_of(options));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", reservations, body));
    const std::size_t places = places_of(answer.body);
    return session.print_done(answer.body,
                              fmt::format("room for {} VM{} is held as {} until {}", places, places == 1 ? "" : "s",
                                          options.vm.name, text_at(answer.body, "expires")));
}

/// "h1, h2": where its places are.
std::string hosts_of(const Json& row, Api& api) {
    std::set<std::string> names;
    for (const auto& claim : row.value("claims", Json::array())) names.insert(api.host_name(text_at(claim, "host")));
    return fmt::format("{}", fmt::join(names, ", "));
}

const View& reservation_view() {
    static const View view{
        .kind = "claim",
        .columns = {{Table::Heading{.text = "NAME"},
                     [](const Json& row, Api&) { return Cell{text_at(row, "name"), Colour::none}; }},
                    {Table::Heading{.text = "PLACES", .right = true},
                     [](const Json& row, Api&) { return Cell{std::to_string(places_of(row)), Colour::none}; }},
                    {Table::Heading{.text = "HOSTS"},
                     [](const Json& row, Api& api) { return Cell{hosts_of(row, api), Colour::none}; }},
                    {Table::Heading{.text = "EXPIRES"},
                     [](const Json& row, Api&) { return Cell{text_at(row, "expires"), Colour::none}; }},
                    {Table::Heading{.text = "NOTE", .right = false, .flexible = true},
                     [](const Json& row, Api&) { return Cell{text_at(row, "note"), Colour::none}; }}}};
    return view;
}

Outcome<> let_go(Session& session, const std::string& name) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("DELETE", path_of(name), Json()));
    return session.print_done(answer.body, fmt::format("the room of {} is let go", name));
}

}  // namespace

void add_reservation_commands(CLI::App& app, Session& session) {
    CLI::App& reservation = group(app, "reservation", "Room that is held for VMs to come");
    const auto options = std::make_shared<CreateOptions>();
    CLI::App* creating = reservation.add_subcommand(
        "create", "Hold room for one VM or several, all or none; `vm create --reservation` takes it");
    creating->add_option("name", options->vm.name, "What to call it")->required()->type_name("");
    CLI::Option* const lasts =
        creating->add_option("--for", options->lasts, "How long: 30min, 2h, 7d; default: 1h")->type_name("TIME");
    creating->add_option("--until", options->until, "Until this moment, such as 2026-12-31T18:00:00Z")
        ->type_name("TIME")
        ->excludes(lasts);
    creating->add_option("--note", options->note, "What it is for");
    add_batch_flags(*creating, options->batch);
    add_vm_flags(*creating, options->vm);
    on(creating, session, [options](Session& s) { return create(s, *options); });

    on(reservation.add_subcommand("list", "All reservations"), session,
       [](Session& s) { return s.print_list(reservation_view(), [](Api& api) { return api.list(reservations); }); });
    named(
        reservation, "show", "Everything about one reservation", session,
        [](Session& s, const std::string& name) {
            return s.print_one(reservation_view(), [&name](Api& api) { return read_row(api, path_of(name)); });
        },
        "Name");
    named(reservation, "delete", "Let the room go that is left of it", session, let_go, "Name");
}

}  // namespace ballast::cli
