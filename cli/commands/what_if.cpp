// `what-if`: a question about the live cluster, which the daemon answers by what it measured; or about a moment of its
// past or a file, answered here by the pure planner, so that a file needs no ballastd.
#include "scheduler/plan/what_if.h"

#include <charconv>
#include <fstream>
#include <sstream>

#include "cli/commands/commands.h"
#include "cli/plan_text.h"
#include "migration/forecast.h"
#include "scheduler/plan/cluster_file.h"

namespace ballast::cli {
namespace {

using scheduler::DescribedCluster;
using scheduler::WhatIfAnswer;
using scheduler::WhatIfAsk;

constexpr std::size_t largest_file = std::size_t{1} << 30U;

struct Options {
    std::string file;
    std::string at;
    bool live = false;
    std::vector<std::string> lose;
    std::vector<std::string> drain;
    std::vector<std::string> add_hosts;
    std::vector<std::string> add_vms;
    std::optional<double> cpu_overcommit;
    std::string reserved_memory;
    std::string policy;
    std::uint64_t seed = 1;
};

Outcome<DescribedCluster> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file) return failing(Exit::usage, fmt::format("the file '{}' can't be read", path));
    const auto json = parse_json(std::move(text).str(), {.bytes = largest_file});
    auto cluster = json ? scheduler::read_any_cluster(*json) : std::unexpected(json.error());
    if (!cluster) return failing(Exit::usage, fmt::format("{}: {}", path, cluster.error().message()));
    return *std::move(cluster);
}

/// What is measured is of now: a moment of the past is judged by what its VMs were promised.
Outcome<DescribedCluster> read_moment(Session& session, const std::string& at) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto body, read_row(*api, "/api/v1/snapshot" + Query().add("at", at).str()));
    return scheduler::read_any_cluster(body);
}

/// "h1:3" or "h1": three more of it.
Result<std::pair<std::string, int>> parse_more(const std::string& flag, const std::string& text) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) return std::pair(text, 1);
    int count = 0;
    const char* begin = text.data() + colon + 1;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(begin, end, count);
    if (error != std::errc() || at != end || count < 1 || colon == 0)
        return fail(Code::invalid_argument, "{} is '{}', not NAME or NAME:COUNT, as in web1:20", flag, text);
    return std::pair(text.substr(0, colon), count);
}

Result<WhatIfAsk> ask_of(const Options& options) {
    WhatIfAsk ask;
    ask.lose = options.lose;
    ask.drain = options.drain;
    ask.cpu_overcommit = options.cpu_overcommit;
    ask.policy = options.policy;
    ask.seed = options.seed;
    if (!options.reserved_memory.empty()) {
        BALLAST_TRY(ask.reserved_memory, parse_bytes(options.reserved_memory));
    }
    for (const auto& text : options.add_hosts) {
        BALLAST_TRY(const auto more, parse_more("--add-hosts", text));
        ask.add_hosts.push_back({.like = more.first, .count = more.second});
    }
    for (const auto& text : options.add_vms) {
        BALLAST_TRY(const auto more, parse_more("--add-vms", text));
        ask.add_vms.push_back({.like = more.first, .spec = {}, .count = more.second});
    }
    return ask;
}

/// As the forecast would say without a measured curve: what the inventory alone knows.
scheduler::MoveCosts costs_of(const Snapshot& snapshot, Timestamp now) {
    auto histories = std::make_shared<const migration::PairHistories>(snapshot);
    return [&snapshot, histories, now](const Vm& vm, const HostId&, const HostId& to) {
        const auto input = migration::input_for(snapshot, *histories, vm, to, Bytes(0), now);
        const auto mode = migration::forecast_mode(input, MigrationMode::pre_copy);
        return scheduler::MoveCost{.total = mode.total.likely,
                                   .downtime = mode.downtime.likely,
                                   .brown_out = mode.brown_out.likely,
                                   .bytes = mode.bytes.likely,
                                   .possible = true,
                                   .reason = {}};
    };
}

std::string lines_of(const std::vector<scheduler::PlanStay>& vms, std::string_view word) {
    std::string out;
    for (const auto& vm : vms)
        out +=
            printable(fmt::format("{}: {}{}{}: {}", word, vm.name, vm.host.empty() ? "" : " on ", vm.host, vm.reason)) +
            "\n";
    return out;
}

std::string risk_text(const WhatIfAnswer& answer) {
    std::string out = lines_of(answer.not_restarted, "would not restart") + lines_of(answer.not_placed, "no room") +
                      lines_of(answer.not_drained, "would stay");
    for (const auto& host : answer.overfull)
        out += printable(fmt::format("overfull: {} lacks {} of memory and {} vCPUs", host.host, host.missing_memory,
                                     host.missing_vcpus)) +
               "\n";
    if (answer.losses_left > 0)
        out += fmt::format("afterwards the loss of each of the {} fullest hosts was tried, not that of the other {}\n",
                           answer.losses_tried, answer.losses_left);
    if (answer.weakest_host.empty())
        return out + fmt::format("afterwards the loss of any one {} can be absorbed\n",
                                 answer.losses_left > 0 ? "of them" : "host");
    return out +
           printable(fmt::format("afterwards the loss of {} would keep {} VM{} from running", answer.weakest_host,
                                 answer.weakest_loses, answer.weakest_loses == 1 ? "" : "s")) +
           "\n";
}

bool all_runs(const WhatIfAnswer& answer) {
    return answer.not_restarted.empty() && answer.not_placed.empty() && answer.not_drained.empty() &&
           answer.overfull.empty();
}

/// Of the live cluster the daemon alone knows what was measured: load, working sets, dirty-page curves.
Outcome<WhatIfAnswer> ask_daemon(Session& session, const WhatIfAsk& ask) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", "/api/v1/what-if", to_json(ask)));
    BALLAST_TRY(auto read, from_json<WhatIfAnswer>(answer.body, "the answer"));
    return read;
}

Outcome<WhatIfAnswer> answer_here(Session& session, const Options& options, const WhatIfAsk& ask) {
    auto read = options.file.empty() ? read_moment(session, options.at) : read_file(options.file);
    if (!read) return std::unexpected(read.error());
    const Timestamp now = session.world().now();
    BALLAST_TRY(auto answer, scheduler::what_if(read->snapshot, read->load, costs_of(read->snapshot, now), ask, now));
    return answer;
}

Outcome<> what_if(Session& session, const Options& options) {
    const int sources = (options.file.empty() ? 0 : 1) + (options.at.empty() ? 0 : 1) + (options.live ? 1 : 0);
    if (sources > 1) return failing(Exit::usage, "--snapshot, --at and --live: only one of them can be asked about");
    BALLAST_TRY(const auto ask, ask_of(options));
    const bool live = options.file.empty() && options.at.empty();
    BALLAST_TRY(const auto answer, live ? ask_daemon(session, ask) : answer_here(session, options, ask));
    const Json json = to_json(answer);
    if (session.globals.format == Format::table)
        session.out() << plan_text(json["plan"], session.world().width, session.world().colours()) << risk_text(answer);
    else
        BALLAST_CHECK(session.print_done(json, ""));
    if (all_runs(answer)) return {};
    return failing(Exit::no_capacity, answer.plan.verdict);
}

}  // namespace

void add_snapshot_command(CLI::App& app, Session& session) {
    const auto at = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("snapshot", "Print the whole inventory as one document, for what-if");
    command->add_option("--at", *at, "As it was then (RFC 3339, or the number of an event)")->type_name("TIME");
    on(command, session, [at](Session& s) -> Outcome<> {
        BALLAST_TRY(Api* const api, s.api());
        BALLAST_TRY(const auto body, read_row(*api, "/api/v1/snapshot" + Query().add("at", *at).str()));
        s.out() << dump(body) << "\n";
        return {};
    });
}

void add_what_if_command(CLI::App& app, Session& session) {
    const auto options = std::make_shared<Options>();
    CLI::App* command =
        app.add_subcommand("what-if", "Say what would happen if hosts were lost, drained or added, or VMs added");
    command
        ->add_option("--snapshot", options->file,
                     "A saved snapshot, or a cluster described by hand; no ballastd is asked")
        ->type_name("FILE");
    command->add_option("--at", options->at, "The cluster as it was then (RFC 3339, or the number of an event)")
        ->type_name("TIME");
    command->add_flag("--live", options->live, "The cluster as it is now (the default)");
    command->add_option("--lose", options->lose, "This host fails; LABEL=VALUE: all that carry it. May be repeated")
        ->allow_extra_args(false)
        ->type_name("HOST");
    command->add_option("--drain", options->drain, "This host is emptied by live moves; LABEL=VALUE: a rack, say")
        ->allow_extra_args(false)
        ->type_name("HOST");
    command->add_option("--add-hosts", options->add_hosts, "So many more hosts like this one")
        ->allow_extra_args(false)
        ->type_name("HOST:N");
    command->add_option("--add-vms", options->add_vms, "So many more VMs like this one")
        ->allow_extra_args(false)
        ->type_name("VM:N");
    command->add_option("--cpu-overcommit", options->cpu_overcommit, "vCPUs promised per core, on every host");
    command->add_option("--reserved-memory", options->reserved_memory, "Memory kept for each host itself")
        ->type_name("SIZE");
    command
        ->add_option("--policy", options->policy,
                     "Scorers' weights for VMs that name none: spread, pack, latency, power")
        ->type_name("NAME");
    command->add_option("--seed", options->seed, "The same seed gives the same answer (default 1)")->type_name("N");
    on(command, session, [options](Session& s) { return what_if(s, *options); });
}

}  // namespace ballast::cli
