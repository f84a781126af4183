#pragma once
// Every command, by what it is about. A file adds its commands to the tree and does what they say; the API's paths are
// known only here.

#include <functional>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/jobs.h"
#include "cli/session.h"
#include "cli/views.h"
#include "core/try.h"

namespace ballast::cli {

void add_host_commands(CLI::App& app, Session& session);
void add_vm_commands(CLI::App& app, Session& session);
void add_vm_make_commands(CLI::App& vm, Session& session);
void add_capacity_command(CLI::App& app, Session& session);
void add_memory_command(CLI::App& app, Session& session);
void add_host_memory_command(CLI::App& host, Session& session);
void add_vm_memory_command(CLI::App& vm, Session& session);
void add_vm_migrate_command(CLI::App& vm, Session& session);
void add_pair_commands(CLI::App& host, Session& session);
void add_evacuate_command(CLI::App& host, Session& session);
void add_reservation_commands(CLI::App& app, Session& session);
void add_storage_commands(CLI::App& app, Session& session);
void add_image_commands(CLI::App& app, Session& session);
void add_job_commands(CLI::App& app, Session& session);
void add_migration_commands(CLI::App& app, Session& session);
void add_plan_commands(CLI::App& app, Session& session);
void add_snapshot_command(CLI::App& app, Session& session);
void add_what_if_command(CLI::App& app, Session& session);
void add_event_commands(CLI::App& app, Session& session);
void add_token_commands(CLI::App& app, Session& session);
void add_cluster_commands(CLI::App& app, Session& session);
void add_offline_commands(CLI::App& app, Session& session);
void add_help_commands(CLI::App& app, Session& session);

/// A group such as `vm`: prints its help when no command follows.
inline CLI::App& group(CLI::App& app, const std::string& name, const std::string& words) {
    CLI::App* made = app.add_subcommand(name, words);
    made->require_subcommand(1);
    return *made;
}

/// What happens when `command` is chosen.
inline void on(CLI::App* command, Session& session, std::function<Outcome<>(Session&)> act) {
    command->callback([&session, act = std::move(act)] { session.act = [&session, act] { return act(session); }; });
}

/// A command that takes one name.
inline CLI::App* named(CLI::App& parent, const std::string& name, const std::string& words, Session& session,
                       std::function<Outcome<>(Session&, const std::string&)> act,
                       const std::string& what = "Name or id") {
    CLI::App* command = parent.add_subcommand(name, words);
    const auto subject = std::make_shared<std::string>();
    command->add_option("name", *subject, what)->required()->type_name("");
    on(command, session, [subject, act = std::move(act)](Session& s) { return act(s, *subject); });
    return command;
}

/// GET of one row, its body.
inline Outcome<Json> read_row(Api& api, const std::string& path) {
    BALLAST_TRY(auto answer, api.get(path));
    return std::move(answer.body);
}

/// "key=value" words as an object of texts.
[[nodiscard]] Result<Json> parse_labels(const std::vector<std::string>& words);
/// A size as the API wants it: a whole number of bytes.
[[nodiscard]] Result<Json> size_json(const std::string& flag, const std::string& text);

/// The text of a file; "-": standard input.
[[nodiscard]] Result<std::string> read_text(const std::string& path);

/// A decision of the scheduler, in a sentence and host by host. Fails where no host takes it: no_capacity when only
/// room is missing.
Outcome<> print_decision(Session& session, const Json& decision);
/// The same of several VMs at once: where each goes, or why one of them finds no host.
Outcome<> print_batch(Session& session, const Json& decision);

/// The answer of a dry run of a migration: where to, the preflight's findings, and what each mode would cost with the
/// chosen one and why. Fails where it would be refused.
Outcome<> print_plan(Session& session, const std::string& name, const Json& plan);
/// "4.2 s (3.8 s to 5.1 s)" of {"low_ms", "likely_ms", "high_ms"}, or of bytes.
[[nodiscard]] std::string range_text(const Json& range);
/// "pre-copy" of "pre_copy"
[[nodiscard]] std::string mode_text(std::string mode);

/// `?a=b&c=d` of the values that are not empty.
class Query {
  public:
    Query& add(const std::string& name, const std::string& value) {
        if (!value.empty()) text_ += (text_.empty() ? "?" : "&") + name + "=" + encoded(value);
        return *this;
    }
    [[nodiscard]] const std::string& str() const { return text_; }

  private:
    std::string text_;
};

}  // namespace ballast::cli
