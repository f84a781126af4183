#pragma once
// The flags that describe a VM, wherever one is described: created, explained, reserved.

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/commands/placement_flags.h"
#include "core/json.h"

namespace ballast::cli {

/// What a VM asks of its host's memory controller; what is not said stays, or has its default.
struct MemoryFlags {
    std::string policy;
    int shares = 0;
    std::optional<int> priority;
    std::optional<bool> merge;
    std::optional<bool> may_suspend;
};

struct VmFlags {
    std::string name;
    std::string image;
    std::string memory = "512M";
    std::string memory_minimum;
    int vcpus = 1;
    std::vector<std::string> disks;
    std::string pool;
    std::vector<std::string> networks;
    std::vector<std::string> bridges;
    std::string kernel;
    std::string initrd;
    std::string cmdline;
    std::string serial_log;
    std::vector<std::string> labels;
    std::vector<std::string> host_labels;
    std::string anti_affinity;
    MemoryFlags overcommit;
    PlacementFlags placement;
    std::string host;
    std::string reservation;
    bool autostart = false;
    bool no_balloon = false;
    bool no_start = false;
    bool dry_run = false;
};

void add_memory_flags(CLI::App& command, MemoryFlags& flags);
/// Adds `memory_policy` and `overcommit` to a spec, or to a patch of one.
void add_memory_json(Json& spec, const MemoryFlags& flags);
void add_vm_flags(CLI::App& command, VmFlags& flags);
/// The spec in the API's form. Errors: invalid_argument naming the flag.
[[nodiscard]] Result<Json> spec_json(const VmFlags& flags);

}  // namespace ballast::cli
