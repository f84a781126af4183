// `rebalance` of a live cluster, `plan …`, and the emptying of a host for maintenance.
#include "cli/commands/rebalance.h"

#include <charconv>

#include "cli/plan_text.h"

namespace ballast::cli {
namespace {

constexpr const char* plans = "/api/v1/plans";

std::string path_of(const std::string& id, const char* verb = "") {
    return fmt::format("{}/{}{}", plans, encoded(id), verb);
}

/// "4:16G": what is to fit afterwards.
Result<Json> parse_fits(const std::string& text) {
    const auto colon = text.find(':');
    int vcpus = 0;
    const char* end = text.data() + std::min(colon, text.size());
    const auto [at, error] = std::from_chars(text.data(), end, vcpus);
    if (colon == std::string::npos || error != std::errc() || at != end || vcpus < 1)
        return fail(Code::invalid_argument, "--fits is '{}', not VCPUS:MEMORY, as in 4:16G", text);
    BALLAST_TRY(const auto memory, parse_bytes(text.substr(colon + 1)));
    return Json{{"vcpus", vcpus}, {"memory_bytes", memory.count()}};
}

Result<Json> body_of(const LiveRebalance& options) {
    Json body{{"goal", options.goal}};
    if (!options.hosts.empty()) body["hosts"] = options.hosts;
    if (options.max_moves) body["max_moves"] = *options.max_moves;
    if (options.seed) body["seed"] = *options.seed;
    if (!options.budget.empty()) {
        BALLAST_TRY(body["budget_ms"], parse_budget(options.budget));
    }
    if (!options.fits.empty()) {
        BALLAST_TRY(body["big"], parse_fits(options.fits));
    }
    return body;
}

/// VMs of the plan whose policy `moves` is ask.
std::vector<std::string> asking(const Json& row) {
    std::vector<std::string> names;
    for (const auto& step : row.value("plan", Json::object()).value("steps", Json::array()))
        if (step.value("asks", false)) names.push_back(printable(text_at(step, "name")));
    return names;
}

/// With --yes, or said on the terminal. Nobody there to be asked is a no.
bool says_yes(Session& session, const std::vector<std::string>& names) {
    if (names.empty()) return false;
    if (session.globals.yes) return true;
    if (!session.world().in_is_terminal) return false;
    return session
        .confirm(fmt::format("{} ask{} before moving. Move {}, too?", fmt::join(names, ", "),
                             names.size() == 1 ? "s" : "", names.size() == 1 ? "it" : "them"))
        .has_value();
}

Outcome<Json> post_plan(Session& session, const Json& body, bool dry_run) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(auto answer, api->write("POST", std::string(plans) + (dry_run ? "?dry_run=true" : ""), body));
    return std::move(answer.body);
}

Outcome<> show(Session& session, const std::string& id) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto row, read_row(*api, path_of(id)));
    if (session.globals.format != Format::table) return session.print_done(row, "");
    const std::string reason = text_at(row, "state_reason");
    session.out() << printable(fmt::format("plan {}: {}, {}{}{}", id, text_at(row, "goal"), text_at(row, "state"),
                                           reason.empty() ? "" : ": ", reason))
                  << "\n";
    return print_plan_row(session, row);
}

Outcome<> approve(Session& session, const std::string& id, bool only) {
    if (!only) return apply_plan(session, id, true);
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(id, "/approve"), Json::object()));
    return session.print_done(answer.body, fmt::format("plan {} is approved; nothing is moved yet", id));
}

Outcome<> cancel(Session& session, const std::string& id) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", path_of(id, "/cancel"), Json::object()));
    const bool runs = !answer.job.empty();
    return session.print_done(answer.body,
                              runs ? fmt::format("plan {} is asked to stop; what moves is moved to its end", id)
                                   : fmt::format("plan {} is called off", id));
}

}  // namespace

Result<std::int64_t> parse_budget(const std::string& text) {
    const auto budget = parse_timeout(text);
    if (budget) return static_cast<std::int64_t>(budget->count());
    return fail(Code::invalid_argument, "--budget is '{}', not a time above zero with its unit, such as 10s", text);
}

Outcome<> print_plan_row(Session& session, const Json& row) {
    if (session.globals.format != Format::table) return session.print_done(row, "");
    session.out() << plan_text(row.value("plan", Json::object()), session.world().width, session.world().colours());
    return {};
}

Outcome<> apply_plan(Session& session, const std::string& id, bool approve) {
    BALLAST_TRY(Api* const api, session.api());
    if (approve) BALLAST_CHECK(api->write("POST", path_of(id, "/approve"), Json::object()));
    BALLAST_TRY(const auto answer, api->write("POST", path_of(id, "/apply"), Json::object()));
    if (session.globals.no_wait || answer.job.empty()) return finish_job(session, answer, "");
    const auto ended = wait_for_job(session, answer.job);
    const auto job = ended ? ended : read_row(*api, "/api/v1/jobs/" + encoded(answer.job));
    const Json result = job ? job->value("result", Json()) : Json();
    if (result.is_object()) BALLAST_CHECK(session.print_done(*job, rebalance_text(result)));
    if (!ended) return std::unexpected(ended.error());
    return {};
}

Outcome<> rebalance_live(Session& session, const LiveRebalance& options) {
    if (options.apply && options.dry_run)
        return failing(Exit::usage, "--apply and --dry-run can't both be meant", "leave one of them out");
    BALLAST_TRY(const auto body, body_of(options));
    BALLAST_TRY(const auto row, post_plan(session, body, options.dry_run));
    const bool for_people = session.globals.format == Format::table;
    const bool nothing = number_at(row, "moves") == 0;
    if (for_people || !options.apply || nothing) BALLAST_CHECK(print_plan_row(session, row));
    if (nothing) return failing(Exit::nothing_to_do, "");
    const std::string id = text_at(row, "id");
    if (!options.apply) {
        if (for_people && !options.dry_run)
            session.out() << fmt::format("next: `ballast plan approve {}` carries it out\n", id);
        return failing(Exit::plan_made, "");
    }
    session.out().flush();
    return apply_plan(session, id, says_yes(session, asking(row)));
}

Outcome<> empty_host(Session& session, const std::string& host) {
    BALLAST_TRY(Api* const api, session.api());
    const std::string path = fmt::format("/api/v1/hosts/{}/maintenance", encoded(host));
    BALLAST_TRY(const auto begun, api->write("POST", path, Json::object()));
    BALLAST_TRY(const auto row, post_plan(session, Json{{"goal", "evacuate"}, {"hosts", {host}}}, false));
    const Json plan = row.value("plan", Json::object());
    const bool stays = !plan.value("stays", Json::array()).empty();
    const bool for_people = session.globals.format == Format::table;
    if (for_people) BALLAST_CHECK(print_plan_row(session, row));
    session.out().flush();
    const bool moves = number_at(row, "moves") > 0;
    if (moves) BALLAST_CHECK(apply_plan(session, text_at(row, "id"), true));
    if (!moves && !for_people) BALLAST_CHECK(session.print_done(begun.body, ""));
    if (stays)
        return failing(Exit::conflict, fmt::format("{} takes nothing new, but not everything leaves it", host),
                       fmt::format("move or stop what stays, or `ballast host maintenance {} --off`", host));
    if (for_people) session.out() << fmt::format("{} is in maintenance: nothing new is placed on it\n", host);
    return {};
}

void add_plan_commands(CLI::App& app, Session& session) {
    CLI::App& plan = group(app, "plan", "Plans of moves: look at them, say yes, call them off");
    const auto state = std::make_shared<std::string>();
    CLI::App* list = plan.add_subcommand("list", "The latest plans");
    list->add_option("--state", *state, "Only those in this state: advised, approved, applying, …");
    on(list, session, [state](Session& s) {
        const std::string query = Query().add("sort", "-id").add("state", *state).str();
        return s.print_list(plan_view(), [query](Api& api) { return api.list(plans + query, 50); });
    });
    named(plan, "show", "One plan with its moves", session, show, "Id");
    const auto only = std::make_shared<bool>(false);
    CLI::App* yes = named(
        plan, "approve", "Say yes to a plan, also for VMs that ask, and carry it out", session,
        [only](Session& s, const std::string& id) { return approve(s, id, *only); }, "Id");
    yes->add_flag("--only", *only, "Do not carry it out yet");
    named(
        plan, "apply", "Carry a plan out; VMs that ask are left out unless it is approved", session,
        [](Session& s, const std::string& id) { return apply_plan(s, id, false); }, "Id");
    named(plan, "cancel", "Call a plan off; one that is carried out is asked to stop", session, cancel, "Id");
}

}  // namespace ballast::cli
