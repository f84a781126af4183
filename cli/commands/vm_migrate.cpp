// `vm migrate`: what is asked for becomes the body of the call; what is left out is the policy's.
#include <algorithm>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

struct MigrateOptions {
    std::string to;
    std::string mode;
    std::optional<int> downtime_ms;
    std::string max_total;
    std::string deadline;
    bool post_copy = false;
    bool no_post_copy = false;
    std::string bandwidth;
    std::string post_copy_bandwidth;
    std::optional<int> max_throttle;
    std::optional<int> priority;
    bool auto_converge = false;
    bool xbzrle = false;
    int parallel = 0;
    bool tls = false;
    std::string copy_disks;
    bool dry_run = false;
};

/// RFC 3339, or from now on: +10m
Result<std::string> parse_deadline(const std::string& text, Timestamp now) {
    if (text.starts_with('+')) {
        const auto in = parse_timeout(text.substr(1));
        if (in) return to_string(now + *in);
    } else if (const auto time = parse_timestamp(text)) {
        return to_string(*time);
    }
    return fail(Code::invalid_argument,
                "--deadline {}: write a time such as 2026-11-22T20:00:00Z, or how long from now on, such as +10m",
                text);
}

Result<Json> policy_json(const MigrateOptions& options) {
    Json policy = Json::object();
    if (options.downtime_ms) policy["max_downtime_ms"] = *options.downtime_ms;
    if (!options.max_total.empty()) {
        const auto total = parse_timeout(options.max_total);
        if (!total)
            return fail(Code::invalid_argument, "--max-total {}: write a time with its unit, such as 90s or 5min",
                        options.max_total);
        policy["max_total_ms"] = total->count();
    }
    if (options.post_copy || options.no_post_copy) policy["post_copy"] = options.post_copy;
    if (!options.bandwidth.empty()) {
        BALLAST_TRY(policy["bandwidth_bytes_per_second"], size_json("--bandwidth", options.bandwidth));
    }
    if (!options.post_copy_bandwidth.empty()) {
        BALLAST_TRY(policy["post_copy_bandwidth_bytes_per_second"],
                    size_json("--post-copy-bandwidth", options.post_copy_bandwidth));
    }
    if (options.max_throttle) policy["max_throttle"] = *options.max_throttle;
    if (options.priority) policy["priority"] = *options.priority;
    return policy;
}

Json knobs_json(const MigrateOptions& options) {
    Json knobs = Json::object();
    if (options.auto_converge) knobs["auto_converge"] = true;
    if (options.xbzrle) knobs["xbzrle"] = true;
    if (options.parallel > 0) knobs["parallel"] = options.parallel;
    if (options.tls) knobs["tls"] = true;
    if (!options.copy_disks.empty()) knobs["copy_disks"] = options.copy_disks;
    return knobs;
}

Result<Json> body_of(const MigrateOptions& options, Timestamp now) {
    Json body = Json::object();
    if (!options.to.empty()) body["to"] = options.to;
    if (!options.mode.empty()) {
        body["mode"] = options.mode;
        std::ranges::replace(body["mode"].get_ref<std::string&>(), '-', '_');
    }
    BALLAST_TRY(auto policy, policy_json(options));
    if (!policy.empty()) body["policy"] = std::move(policy);
    if (!options.deadline.empty()) {
        BALLAST_TRY(body["deadline"], parse_deadline(options.deadline, now));
    }
    if (auto knobs = knobs_json(options); !knobs.empty()) body["knobs"] = std::move(knobs);
    return body;
}

Outcome<> migrate(Session& session, const std::string& name, const MigrateOptions& options) {
    BALLAST_TRY(const auto body, body_of(options, session.world().now()));
    BALLAST_TRY(Api* const api, session.api());
    const std::string path = fmt::format("/api/v1/vms/{}/migrate", encoded(name));
    if (options.dry_run) {
        BALLAST_TRY(const auto plan, api->write("POST", path + "?dry_run=true", body));
        return print_plan(session, name, plan.body);
    }
    BALLAST_TRY(const auto answer, api->write("POST", path, body));
    if (answer.job.empty() || session.globals.no_wait) return finish_job(session, answer, name + " was moved");
    BALLAST_TRY(const auto job, wait_for_job(session, answer.job));
    const auto migration = read_row(*api, "/api/v1/migrations/" + encoded(answer.job));
    if (!migration && migration.error().exit == Exit::not_found)  // a VM that is off has no migration, only a new place
        return session.print_done(job, name + " was moved");
    if (!migration) return std::unexpected(migration.error());
    return session.print_done(*migration, migration_summary(*migration, *api));
}

void add_policy(CLI::App& command, MigrateOptions& options) {
    command.add_option("--downtime", options.downtime_ms, "Longest pause of the guest, in ms")
        ->check(CLI::Range(1, 2'000'000));
    command.add_option("--max-total", options.max_total, "Refuse it if it is forecast to take longer (90s, 5min)")
        ->type_name("TIME");
    command.add_option("--deadline", options.deadline, "When it must have ended (2026-11-22T20:00:00Z, or +10m)")
        ->type_name("TIME");
    CLI::Option* allow = command.add_flag(
        "--allow-post-copy", options.post_copy,
        "It may switch to post-copy: while it pulls, a failure of either host loses the VM's running state");
    command.add_flag("--no-post-copy", options.no_post_copy, "It must not switch to post-copy")->excludes(allow);
    command.add_option("--bandwidth", options.bandwidth, "At most this many bytes per second (100M)")
        ->type_name("SIZE");
    command.add_option("--post-copy-bandwidth", options.post_copy_bandwidth, "The same after a switch to post-copy")
        ->type_name("SIZE");
    command.add_option("--max-throttle", options.max_throttle, "Per cent of vCPU time that auto-converge may take")
        ->check(CLI::Range(0, 99));
    command.add_option("--priority", options.priority, "Place in the queue, -100 to 100; higher goes first")
        ->check(CLI::Range(-100, 100));
}

void add_knobs(CLI::App& command, MigrateOptions& options) {
    command.add_flag("--auto-converge", options.auto_converge,
                     "Slow the guest down when it writes faster than the link");
    command.add_flag("--xbzrle", options.xbzrle, "Send what changed within a page instead of the page");
    command.add_option("--parallel", options.parallel, "So many connections at once")->check(CLI::Range(1, 255));
    command.add_flag("--tls", options.tls, "Encrypt the stream by QEMU itself");
    command.add_option("--copy-disks", options.copy_disks, "Copy disks that are not shared: full or incremental")
        ->check(CLI::IsMember({"full", "incremental"}));
}

}  // namespace

void add_vm_migrate_command(CLI::App& vm, Session& session) {
    const auto options = std::make_shared<MigrateOptions>();
    CLI::App* command = named(vm, "migrate", "Move a running VM to another host", session,
                              [options](Session& s, const std::string& name) { return migrate(s, name, *options); });
    command->add_option("--to", options->to, "Target host; default: the scheduler chooses");
    command
        ->add_option("--mode", options->mode,
                     "auto (default: by forecast and policy), pre-copy, post-copy, hybrid, stop-and-copy or offline")
        ->check(CLI::IsMember({"auto", "pre-copy", "post-copy", "hybrid", "stop-and-copy", "offline"}))
        ->transform([](std::string mode) {  // as the API and the tables write it
            std::ranges::replace(mode, '_', '-');
            return mode;
        });
    command->add_flag("--dry-run", options->dry_run,
                      "Only say where it would go, what each mode would cost, and which one would be taken");
    add_policy(*command, *options);
    add_knobs(*command, *options);
}

}  // namespace ballast::cli
