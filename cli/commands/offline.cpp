// Commands that need no ballastd: they read a cluster from a file, plan, and write a file. The only ones that use the
// pure planner (ARCHITECTURE.md 1). Threads and the clock that the planner may not know are here.

#include <atomic>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "cli/commands/rebalance.h"
#include "scheduler/balance/htools.h"
#include "scheduler/balance/place.h"
#include "scheduler/balance/plan.h"

namespace ballast::cli {
namespace {

namespace balance = scheduler::balance;
using SteadyClock = std::chrono::steady_clock;

/// Candidates that a slow machine looks at in a second: --budget is turned into effort by it, so that the same budget
/// gives the same plan everywhere and the clock is only the limit behind.
constexpr double candidates_per_second = 4e6;
constexpr double longest_budget = 86'400;

struct RebalanceOptions {
    std::string in;
    std::string out;
    std::string objective = "htools";
    std::optional<std::int64_t> max_moves;
    std::string budget;
    std::uint64_t seed = 1;
    unsigned threads = 0;
};

/// What only one of the two ways of `rebalance` knows.
struct RebalanceFlags {
    RebalanceOptions offline;
    LiveRebalance live;
    CLI::Option* seed = nullptr;
    std::vector<CLI::Option*> only_offline;
    std::vector<CLI::Option*> only_live;
};

struct PlaceOptions {
    std::string in;
    std::string vm;
    bool n_plus_one = false;
};

Result<balance::HtoolsCluster> read_cluster(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file) return fail(Code::invalid_argument, "the file '{}' can't be read", path);
    return balance::parse_htools(std::move(text).str(), path);
}

Result<void> write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) return fail(Code::invalid_argument, "the file '{}' can't be written", path);
    return {};
}

/// The planner's chains on this many threads.
balance::RunAll on_threads(unsigned threads) {
    return [threads](std::size_t count, const std::function<void(std::size_t)>& chain) {
        std::atomic<std::size_t> next = 0;
        const auto work = [&next, &chain, count] {
            for (std::size_t i = next++; i < count; i = next++) chain(i);
        };
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < std::min<std::size_t>(threads, count); ++i) others.emplace_back(work);
        work();
    };
}

/// Names come from somebody's file: what is no UTF-8 in them is replaced.
std::string text_of(const Json& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const balance::HtoolsCluster& cluster, const RebalanceOptions& options, const balance::Plan& plan) {
    Json moves = Json::array();
    const auto node = [&](balance::Index host) { return cluster.nodes[static_cast<std::size_t>(host)].name; };
    for (const auto& move : plan.moves)
        moves.push_back({{"vm", cluster.instances[static_cast<std::size_t>(move.vm)].name},
                         {"from", node(move.from)},
                         {"to", node(move.to)},
                         {"score_after", move.score_after}});
    return {{"objective", options.objective},    {"seed", options.seed},
            {"score_before", plan.score_before}, {"score_after", plan.score_after},
            {"lower_bound", plan.lower_bound},   {"candidates", plan.candidates},
            {"stopped_by_budget", plan.cut},     {"moves", std::move(moves)}};
}

Table table_of(const balance::HtoolsCluster& cluster, const balance::Plan& plan) {
    Table table{{{"STEP", true}, {"VM", false, true}, {"FROM"}, {"TO"}, {"SCORE", true}}, {}};
    const auto node = [&](balance::Index host) {
        return printable(cluster.nodes[static_cast<std::size_t>(host)].name);
    };
    for (const auto& move : plan.moves)
        table.rows.push_back({{std::to_string(table.rows.size() + 1)},
                              {printable(cluster.instances[static_cast<std::size_t>(move.vm)].name)},
                              {node(move.from)},
                              {node(move.to)},
                              {fmt::format("{:.8f}", move.score_after)}});
    return table;
}

std::string summary_of(const balance::Plan& plan) {
    std::string text = plan.moves.empty() ? fmt::format("Nothing worth moving: score {:.8f}", plan.score_before)
                                          : fmt::format("{} {}: score {:.8f} -> {:.8f}", plan.moves.size(),
                                                        plan.moves.size() == 1 ? "move" : "moves", plan.score_before,
                                                        plan.score_after);
    text += fmt::format(", lower bound {:.8f}\n", plan.lower_bound);
    if (plan.cut) text += "The time budget ended the search: another run may find another plan.\n";
    return text;
}

void print_plan(Session& session, const balance::HtoolsCluster& cluster, const RebalanceOptions& options,
                const balance::Plan& plan) {
    switch (session.globals.format) {
        case Format::json:
            session.out() << text_of(json_of(cluster, options, plan)) << "\n";
            break;
        case Format::yaml:
            session.out() << to_yaml(json_of(cluster, options, plan));
            break;
        case Format::name:
            for (const auto& move : plan.moves)
                session.out() << printable(cluster.instances[static_cast<std::size_t>(move.vm)].name) << "\n";
            break;
        case Format::table:
        case Format::wide:
            if (!plan.moves.empty())
                session.out() << render_table(table_of(cluster, plan), session.world().width,
                                              session.world().colours());
            session.out() << summary_of(plan);
    }
}

/// Seconds, with or without a fraction, or a length of time such as 10s. 0 changes nothing in the cluster.
Outcome<std::optional<double>> parse_offline_budget(const std::string& text) {
    if (text.empty()) return std::nullopt;
    double seconds = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || at != text.data() + text.size()) {
        const auto length = parse_timeout(text);
        if (!length)
            return failing(Exit::usage,
                           fmt::format("--budget is '{}', not a number of seconds from 0 to {}", text, longest_budget));
        seconds = static_cast<double>(length->count()) / 1'000;
    }
    if (seconds >= 0 && seconds <= longest_budget) return seconds;  // NaN is neither
    return failing(Exit::usage,
                   fmt::format("--budget is {}, not a number of seconds from 0 to {}", text, longest_budget));
}

Outcome<> rebalance(Session& session, const RebalanceOptions& options) {
    const auto begin = SteadyClock::now();
    BALLAST_TRY(const auto budget, parse_offline_budget(options.budget));
    BALLAST_TRY(const auto cluster, read_cluster(options.in));
    const auto problem = balance::htools_problem(cluster);
    balance::SearchOptions search;
    search.max_moves = options.max_moves;
    search.seed = options.seed;
    search.price = balance::default_price(problem, options.max_moves);
    search.effort = balance::default_effort(problem);
    balance::Stop stop;
    if (budget) {
        search.effort = static_cast<std::uint64_t>(*budget * candidates_per_second);
        const auto end =
            begin + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(*budget));
        stop = [end] { return SteadyClock::now() >= end; };
    }
    const unsigned threads = options.threads > 0 ? options.threads : std::thread::hardware_concurrency();
    const auto plan = balance::plan_rebalance(problem, search, on_threads(threads), stop);
    if (!options.out.empty()) BALLAST_CHECK(write_file(options.out, balance::write_htools(cluster, plan.at)));
    print_plan(session, cluster, options, plan);
    return {};
}

/// A whole number of MiB as the format has it, or a size with its unit.
Result<std::int64_t> parse_mebibytes(std::string_view text) {
    std::int64_t mebibytes = 0;
    const auto* end = text.end();
    const auto [at, error] = std::from_chars(text.begin(), end, mebibytes);
    if (error == std::errc() && at == end && mebibytes >= 0) return mebibytes;
    BALLAST_TRY(const auto size, parse_bytes(text));
    return static_cast<std::int64_t>(size.count() >> 20);
}

struct WantedVm {
    std::string name;
    balance::VmRow row;
};

Result<WantedVm> parse_wanted(const std::string& text) {
    std::vector<std::string> parts;
    std::istringstream words(text);
    for (std::string part; std::getline(words, part, ':');) parts.push_back(part);
    if (parts.size() != 4 || parts[0].empty())
        return fail(Code::invalid_argument, "--vm is '{}', not NAME:CPU:MEM:DISK, as in web1:2:4096:10240", text);
    WantedVm wanted{parts[0], {}};
    const auto* end = parts[1].data() + parts[1].size();
    const auto [at, error] = std::from_chars(parts[1].data(), end, wanted.row.vcpus);
    if (error != std::errc() || at != end || wanted.row.vcpus < 1 || wanted.row.vcpus > 1'000'000)
        return fail(Code::invalid_argument, "--vm: '{}' is no number of vCPUs", parts[1]);
    BALLAST_TRY(wanted.row.memory, parse_mebibytes(parts[2]));
    BALLAST_CHECK(parse_mebibytes(parts[3]));
    wanted.row.load = {static_cast<double>(wanted.row.memory), static_cast<double>(wanted.row.vcpus), 1, 1};
    return wanted;
}

Outcome<> place(Session& session, const PlaceOptions& options) {
    BALLAST_TRY(const auto wanted, parse_wanted(options.vm));
    BALLAST_TRY(const auto cluster, read_cluster(options.in));
    const auto found = balance::place_vm(balance::htools_problem(cluster), wanted.row, options.n_plus_one);
    const auto reasons = fmt::format(
        "{} offline, {} without the memory, {} without the vCPUs{}", found.offline, found.no_memory, found.no_vcpus,
        options.n_plus_one ? fmt::format(", {} would leave a host whose loss can't be absorbed", found.exposed) : "");
    if (!found.host)
        return failing(Exit::no_capacity,
                       fmt::format("none of {} nodes can take '{}': {}", cluster.nodes.size(), wanted.name, reasons),
                       "a smaller VM, or `ballast rebalance --offline` to make room");
    const auto node = cluster.nodes[static_cast<std::size_t>(*found.host)].name;
    const Json json{{"vm", wanted.name},
                    {"node", node},
                    {"score_before", found.score_before},
                    {"score_after", found.score_after},
                    {"candidates", found.candidates},
                    {"refused",
                     {{"offline", found.offline},
                      {"memory", found.no_memory},
                      {"vcpus", found.no_vcpus},
                      {"n_plus_one", found.exposed}}}};
    if (session.globals.format == Format::json)
        session.out() << text_of(json) << "\n";
    else if (session.globals.format == Format::yaml)
        session.out() << to_yaml(json);
    else if (session.globals.format == Format::name)
        session.out() << printable(node) << "\n";
    else
        session.out() << fmt::format("{} -> {}: score {:.8f} -> {:.8f}, best of {} nodes ({})\n",
                                     printable(wanted.name), printable(node), found.score_before, found.score_after,
                                     found.candidates, reasons);
    return {};
}

void add_offline_options(CLI::App& command, RebalanceFlags& flags) {
    RebalanceOptions& options = flags.offline;
    command.add_option("--offline", options.in, "Cluster in Ganeti's htools text format; no ballastd is asked")
        ->type_name("FILE");
    flags.only_offline = {
        command.add_option("--out", options.out, "Offline: write the cluster as it is after the moves, in its format")
            ->type_name("FILE"),
        command.add_option("--objective", options.objective, "Offline: htools, the score of Ganeti's hbal")
            ->check(CLI::IsMember({"htools"}).description(""))
            ->type_name("NAME"),
        command
            .add_option("--threads", options.threads,
                        "Offline: threads of the search (default: all); the plan is the same")
            ->check(CLI::Range(1U, 1024U).description(""))
            ->type_name("N")};
}

void add_live_options(CLI::App& command, RebalanceFlags& flags) {
    LiveRebalance& live = flags.live;
    flags.only_live = {
        command.add_option("--goal", live.goal, "level (default), consolidate, evacuate, defragment or repair")
            ->check(CLI::IsMember({"level", "consolidate", "evacuate", "defragment", "repair"}).description(""))
            ->type_name("GOAL"),
        command
            .add_option("--host", live.hosts,
                        "evacuate: this host, or LABEL=VALUE; level: only it is relieved. May be repeated")
            ->allow_extra_args(false),
        command.add_option("--fits", live.fits, "defragment: the VM that is to fit afterwards, as in 4:16G")
            ->type_name("VCPUS:MEMORY"),
        command.add_flag("--dry-run", live.dry_run, "Only say what would be moved"),
        command.add_flag("--apply", live.apply, "Carry the plan out and wait (--yes: VMs that ask before, too)")};
}

/// Errors: usage, where an option of the other way is given.
Outcome<> check_one_way(const RebalanceFlags& flags) {
    const bool offline = !flags.offline.in.empty();
    for (const CLI::Option* option : offline ? flags.only_live : flags.only_offline)
        if (option->count() > 0)
            return failing(Exit::usage,
                           fmt::format("{} goes {} --offline", option->get_name(), offline ? "not with" : "only with"),
                           "`ballast rebalance --help`");
    return {};
}

void add_rebalance(CLI::App& app, Session& session) {
    const auto flags = std::make_shared<RebalanceFlags>();
    CLI::App* command = app.add_subcommand("rebalance", "Plan the moves that level a cluster, and make them");
    add_live_options(*command, *flags);
    command->add_option("--max-moves", flags->offline.max_moves, "No more moves than this")
        ->check(CLI::NonNegativeNumber.description(""))
        ->type_name("N");
    command
        ->add_option("--budget", flags->offline.budget, "Time for the search, as in 10s (offline: 0 changes nothing)")
        ->type_name("TIME");
    flags->seed = command->add_option("--seed", flags->offline.seed, "The same seed gives the same plan (default 1)")
                      ->type_name("N");
    add_offline_options(*command, *flags);
    on(command, session, [flags](Session& s) -> Outcome<> {
        BALLAST_CHECK(check_one_way(*flags));
        if (!flags->offline.in.empty()) return rebalance(s, flags->offline);
        LiveRebalance live = flags->live;
        live.max_moves = flags->offline.max_moves;
        live.budget = flags->offline.budget;
        if (flags->seed->count() > 0) live.seed = flags->offline.seed;
        return rebalance_live(s, live);
    });
}

void add_place(CLI::App& app, Session& session) {
    const auto options = std::make_shared<PlaceOptions>();
    CLI::App* command = app.add_subcommand("place", "Say which node of a cluster in a file takes one more VM best");
    command->add_option("--offline", options->in, "Cluster in Ganeti's htools text format; no ballastd is asked")
        ->required()
        ->type_name("FILE");
    command->add_option("--vm", options->vm, "The VM, its disk on shared storage; MEM and DISK in MiB or with a unit")
        ->required()
        ->type_name("NAME:CPU:MEM:DISK");
    command->add_flag("--n-plus-one", options->n_plus_one, "Only where every node's loss can be absorbed afterwards");
    on(command, session, [options](Session& s) { return place(s, *options); });
}

}  // namespace

void add_offline_commands(CLI::App& app, Session& session) {
    add_rebalance(app, session);
    add_place(app, session);
}

}  // namespace ballast::cli
