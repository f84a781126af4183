#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

struct EventOptions {
    std::string after;
    std::string kind;
    std::string subject;
    std::size_t limit = 100;
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
    const std::string query = Query().add("kind", options.kind).add("subject", options.subject).str();
    const auto followed = api->follow(query, options.after, follower);
    if (!followed && deadline && std::chrono::steady_clock::now() >= *deadline) return {};
    return followed;
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
        command->add_option("--subject", options->subject, "Only events about this kind of thing (vm, host, job)");
    }
    list->add_option("--limit", options->limit, "At most so many; 0: all");
    on(list, session, [options](Session& s) {
        const std::string query =
            Query().add("after", options->after).add("kind", options->kind).add("subject", options->subject).str();
        return s.print_list(event_view(),
                            [query, options](Api& api) { return api.list("/api/v1/events" + query, options->limit); });
    });
    on(watching, session, [options](Session& s) { return watch(s, *options); });
}

}  // namespace ballast::cli
