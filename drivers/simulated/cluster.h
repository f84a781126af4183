#pragma once
// From a cluster file to a world: every host and VM by name, on virtual time, with its load and its failures. The same
// file, seed and start give the same world. Reads the folder of traces, nothing else.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/vm.h"
#include "drivers/simulated/cluster_file.h"
#include "drivers/simulated/world.h"

namespace ballast::drivers::simulated {

/// What an inventory is told of a host: how it is reached, and what its operator says of it.
struct LaidHost {
    std::string name;
    HostSettings settings;
    bool managed = true;
};

/// A VM of the file: where it is at the beginning, and what an inventory is told of it beside its definition.
struct LaidVm {
    VmId id;
    std::string name;
    std::string host;
    VmSpec spec;
    bool running = true;
    bool managed = true;
};

struct Layout {
    std::vector<LaidHost> hosts;
    std::vector<LaidVm> vms;
};

struct BuildOptions {
    std::optional<Timestamp> start = {};  ///< the time of day that it begins at
    std::string traces = {};  ///< folder of PlanetLab traces, one file a VM; needed where a load asks for it
};

struct SimulatedCluster {
    std::shared_ptr<World> world;
    Layout layout;
};

/// Errors: invalid_argument (a host too small for its VMs' names, a load of traces without a folder), not_found and
/// invalid_argument of the traces, naming file and line.
[[nodiscard]] Result<SimulatedCluster> build_cluster(const ClusterFile& file, const BuildOptions& options = {});

/// One share per 300 s, read from every file of the folder and its folders, in the order of their names. Errors:
/// not_found, invalid_argument (file and line).
[[nodiscard]] Result<std::vector<std::shared_ptr<const Trace>>> read_traces(const std::string& folder);

/// Puts the file's failures into the world's timers (failures.cpp).
void schedule_failures(World& world, const ClusterFile& file, const Layout& layout);

}  // namespace ballast::drivers::simulated
