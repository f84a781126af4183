#pragma once
// What commands about plans share.

#include "cli/commands/commands.h"

namespace ballast::cli {

struct LiveRebalance {
    std::string goal = "level";
    std::vector<std::string> hosts;
    std::optional<std::int64_t> max_moves;
    std::string budget;
    std::optional<std::uint64_t> seed;
    std::string fits;  ///< defragment: VCPUS:MEMORY
    bool dry_run = false;
    bool apply = false;
};

/// `rebalance` of the cluster that ballastd runs.
Outcome<> rebalance_live(Session& session, const LiveRebalance& options);
/// `host maintenance`: nothing new is placed there, and what runs there moves elsewhere.
Outcome<> empty_host(Session& session, const std::string& host);
/// Carries a plan out and waits: prints what became of its steps. `approve`: also VMs that ask.
Outcome<> apply_plan(Session& session, const std::string& id, bool approve);
/// The table of a plan's row, or the row for scripts.
Outcome<> print_plan_row(Session& session, const Json& row);
/// "10s", "500ms", plain seconds -> milliseconds. Errors: invalid_argument.
[[nodiscard]] Result<std::int64_t> parse_budget(const std::string& text);

}  // namespace ballast::cli
