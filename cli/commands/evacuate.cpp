// `host evacuate`: every VM of a host moves elsewhere; one progress line, then what was moved, what failed and what
// stayed.
#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

struct Options {
    bool maintenance = false;
    int priority = 0;
};

/// "failed: web1: no host takes it", one line each.
std::string lines(const Json& result, const char* key, std::string_view word) {
    std::string out;
    for (const auto& vm : result.value(key, Json::array()))
        out += printable(fmt::format("{}: {}: {}", word, text_at(vm, "name"), text_at(vm, "reason"))) + "\n";
    return out;
}

std::string result_text(const std::string& host, const Json& result) {
    std::string moved;
    for (const auto& vm : result.value("moved", Json::array()))
        moved += (moved.empty() ? "" : ", ") + printable(text_at(vm, "name"));
    std::string out =
        lines(result, "failed", "failed") + lines(result, "cancelled", "not moved") + lines(result, "left", "left");
    return out + fmt::format("moved from {}: {}", host, moved.empty() ? "none" : moved);
}

Outcome<> evacuate(Session& session, const std::string& host, const Options& options) {
    BALLAST_TRY(Api* const api, session.api());
    const std::string path = fmt::format("/api/v1/hosts/{}/evacuate", encoded(host));
    const Json body{{"maintenance", options.maintenance}, {"priority", options.priority}};
    BALLAST_TRY(const auto answer, api->write("POST", path, body));
    if (answer.job.empty() || session.globals.no_wait) return finish_job(session, answer, host + " is empty");
    const auto ended = wait_for_job(session, answer.job);
    const auto job = ended ? ended : read_row(*api, "/api/v1/jobs/" + encoded(answer.job));
    const Json result = job ? job->value("result", Json()) : Json();
    if (result.is_object()) BALLAST_CHECK(session.print_done(*job, result_text(host, result)));
    if (!ended) return std::unexpected(ended.error());
    return {};
}

}  // namespace

void add_evacuate_command(CLI::App& host, Session& session) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = named(host, "evacuate", "Move every VM that runs on a host elsewhere", session,
                              [options](Session& s, const std::string& name) { return evacuate(s, name, *options); });
    command->add_flag("--maintenance", options->maintenance, "From now on nothing new is placed on it either");
    command->add_option("--priority", options->priority, "Place of its migrations in the queue, -100 to 100")
        ->check(CLI::Range(-100, 100));
}

}  // namespace ballast::cli
