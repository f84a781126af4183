#pragma once
// Snapshot: the whole inventory at one moment, as a value. Pure modules decide on it; copying it is cheap
// (core/table.h); it saves to and loads from JSON, so every decision can be replayed offline.

#include <string>
#include <string_view>

#include "core/host.h"
#include "core/job.h"
#include "core/migration.h"
#include "core/plan.h"
#include "core/storage_rows.h"
#include "core/table.h"
#include "core/vm.h"

namespace ballast {

struct Snapshot {
    std::uint64_t seq = 0;  ///< of the last event it contains
    std::string cluster;    ///< the cluster's id
    Table<Host> hosts;
    Table<Vm> vms;
    Table<Pool> pools;
    Table<Volume> volumes;
    Table<Image> images;
    Table<HostPair> pairs;
    Table<Job> jobs;
    Table<Claim> claims;
    Table<Migration> migrations;
    Table<Plan> plans;
    Table<Token> tokens;
};

[[nodiscard]] Json to_json(const Snapshot& snapshot);
[[nodiscard]] Result<Snapshot> snapshot_from_json(const Json& json);

/// By name or id. Errors: not_found.
[[nodiscard]] Result<std::shared_ptr<const Host>> find_host(const Snapshot& snapshot, std::string_view name_or_id);
/// By name, `name@host`, or id. Errors: not_found, conflict (ambiguous; the message lists the candidates, SAFETY.md 2).
[[nodiscard]] Result<std::shared_ptr<const Vm>> find_vm(const Snapshot& snapshot, std::string_view name_or_id);
[[nodiscard]] Result<std::shared_ptr<const Image>> find_image(const Snapshot& snapshot, std::string_view name_or_id);
/// The pool of that name on that host, or nullptr.
[[nodiscard]] const Pool* find_pool(const Snapshot& snapshot, const HostId& host, std::string_view name);
/// The pool on that host whose folder holds `path` (the innermost one), or nullptr.
[[nodiscard]] const Pool* find_pool_holding(const Snapshot& snapshot, const HostId& host, std::string_view path);
[[nodiscard]] const HostPair* find_pair(const Snapshot& snapshot, const HostId& from, const HostId& to);
/// The name of a host, or its id where it is gone: for messages.
[[nodiscard]] std::string host_name(const Snapshot& snapshot, const HostId& id);

[[nodiscard]] PairId pair_id(const HostId& from, const HostId& to);
[[nodiscard]] PoolId pool_id(const HostId& host, std::string_view name);

}  // namespace ballast
