#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* jobs = "/api/v1/jobs";

std::string path_of(const std::string& id) {
    return fmt::format("{}/{}", jobs, encoded(id));
}

struct ListOptions {
    std::string vm;
    std::string host;
    std::string state;
    std::string kind;
    std::size_t limit = 50;
};

Outcome<> cancel(Session& session, const std::string& id) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(id) + "/cancel", Json()));
    return session.print_done(answer.body, fmt::format("job {0} was asked to stop. next: `ballast job watch {0}`", id));
}

Outcome<> watch(Session& session, const std::string& id) {
    BALLAST_TRY(const auto job, wait_for_job(session, id));
    return session.print_done(
        job, fmt::format("job {} ({} {}) succeeded", id, text_at(job, "kind"), text_at(job, "subject")));
}

}  // namespace

void add_job_commands(CLI::App& app, Session& session) {
    CLI::App& job = group(app, "job", "Long work: look, follow, cancel");
    const auto options = std::make_shared<ListOptions>();
    CLI::App* list = job.add_subcommand("list", "The latest jobs");
    list->add_option("--vm", options->vm, "Only those of this VM");
    list->add_option("--host", options->host, "Only those of this host");
    list->add_option("--state", options->state, "Only those in this state");
    list->add_option("--kind", options->kind, "Only this kind (vm.migrate)");
    list->add_option("--limit", options->limit, "At most so many; 0: all");
    on(list, session, [options](Session& s) {
        const std::string query = Query()
                                      .add("sort", "-id")
                                      .add("vm", options->vm)
                                      .add("host", options->host)
                                      .add("state", options->state)
                                      .add("kind", options->kind)
                                      .str();
        return s.print_list(job_view(), [query, options](Api& api) { return api.list(jobs + query, options->limit); });
    });
    named(
        job, "show", "Everything about one job, its steps included", session,
        [](Session& s, const std::string& id) {
            return s.print_one(job_view(), [&id](Api& api) { return read_row(api, path_of(id)); });
        },
        "Id");
    named(job, "watch", "Follow a job to its end", session, watch, "Id");
    named(job, "cancel", "Ask a job to stop when that is safe", session, cancel, "Id");
}

}  // namespace ballast::cli
