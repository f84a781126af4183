#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

struct EventOptions {
    std::string after;
    std::string kind;
    std::string about;
    std::string subject;
    std::size_t limit = 100;

    [[nodiscard]] std::string query() const {
        return Query().add("kind", kind).add("subject_kind", about).add("subject", subject).str();
    }
};

void print_event(Session& session, const ServerEvent& event, const Json& data) {
    if (session.globals.format == Format::json) {
        session.out() << dump(data) << std::endl;
    } else if (session.globals.format == Format::yaml) {
        session.out() << "---\n" << to_yaml(data) << std::flush;
    } else if (session.globals.format == Format::name) {
        session.out() << event.id << std::endl;
    } else {
        const std::string outside = text_at(data, "origin") == "outside" ? " [outside Ballast]" : "";
        session.out() << fmt::format("{}  {:<20} {:<16} {}{}", text_at(data, "time"), text_at(data, "kind"),
                                     printable(text_at(data, "subject_name")), printable(text_at(data, "message")),
                                     outside)
                      << std::endl;
    }
}

Outcome<> watch(Session& session, const EventOptions& options) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto deadline, session.deadline());
    Follower follower;
    follower.deadline = deadline;
    follower.on_event = [&](const ServerEvent& event) {
        const Json data = Json::parse(event.data, nullptr, false);
        if (data.is_object() && data.contains("seq")) print_event(session, event, data);
        return bool(session.out());
    };
    const auto followed = api->follow(options.query(), options.after, follower);
    if (!followed && deadline && std::chrono::steady_clock::now() >= *deadline) return {};
    return followed;
}

/// The end of the log: the list itself goes forward from a number.
Outcome<Json> latest(Api& api, const EventOptions& options) {
    std::string after = options.after;
    const std::string query = options.query();
    if (after.empty() && query.empty() && options.limit > 0) {
        BALLAST_TRY(const auto cluster, read_row(api, "/api/v1"));
        const auto seq = number_at(cluster, "seq");
        const auto wanted = static_cast<std::int64_t>(options.limit);
        if (seq > wanted) after = std::to_string(seq - wanted);
    }
    BALLAST_TRY(auto items, api.list("/api/v1/events" + query, 0, after));
    const std::size_t surplus = options.limit > 0 && items.size() > options.limit ? items.size() - options.limit : 0;
    items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(surplus));
    return items;
}

}  // namespace

void add_event_commands(CLI::App& app, Session& session) {
    CLI::App& event = group(app, "event", "What happened, and what happens now");
    const auto options = std::make_shared<EventOptions>();
    CLI::App* list = event.add_subcommand("list", "Past events");
    CLI::App* watching = event.add_subcommand("watch", "Events as they happen (--timeout ends it)");
    for (CLI::App* command : {list, watching}) {
        command->add_option("--after", options->after, "Only events after this number");
        command->add_option("--kind", options->kind, "Only kinds that begin so (vm., job.failed)");
        command->add_option("--about", options->about, "Only events about this kind of thing (vm, host, job, image)");
        command->add_option("--subject", options->subject,
                            "Only events about this one: its id, of a VM or host its name");
    }
    list->add_option("--limit", options->limit, "At most so many; 0: all");
    on(list, session, [options](Session& s) {
        return s.print_list(event_view(), [options](Api& api) { return latest(api, *options); });
    });
    on(watching, session, [options](Session& s) { return watch(s, *options); });
}

}  // namespace ballast::cli
