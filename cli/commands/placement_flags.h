#pragma once
// The flags by which a VM says what it asks of its place, and a host what it keeps VMs off with and what it has.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "core/json.h"

namespace ballast::cli {

struct PlacementFlags {
    std::vector<std::string> groups;
    std::vector<std::string> affinity;
    std::vector<std::string> hosts;
    std::vector<std::string> tolerations;
    std::vector<std::string> devices;
    std::vector<std::string> cpu_features;
    std::string hugepages;
    int numa_cells = 0;
    bool numa_pinned = false;
    std::string policy;
};

void add_placement_flags(CLI::App& command, PlacementFlags& flags);

/// What was said, in the API's form; empty: nothing. Errors: invalid_argument naming the flag.
[[nodiscard]] Result<Json> placement_json(const PlacementFlags& flags);

/// "key[=value][:effect]" of hosts.
[[nodiscard]] Result<Json> taints_json(const std::vector<std::string>& words);
/// "kind[=count]"; `kind=0` says that there is none.
[[nodiscard]] Result<Json> device_counts(const char* flag, const std::vector<std::string>& words);

}  // namespace ballast::cli
