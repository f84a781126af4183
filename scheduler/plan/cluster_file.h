#pragma once
// A cluster described by hand, for people who want to try the planner on theirs before they install anything: hosts
// with cores and memory, VMs with what they need and use (docs/howto/what-if.md). Becomes a snapshot and a load, as if
// ballastd had seen it. Pure.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/snapshot.h"
#include "scheduler/plan/load.h"

namespace ballast::scheduler {

inline constexpr std::string_view cluster_file_format = "ballast-cluster/1";

struct FileHost {
    std::string name;
    int cpus = 0;
    Bytes memory;
    Bytes reserved_memory;
    double cpu_overcommit = 4.0;
    std::map<std::string, std::string> labels;
    std::optional<BytesPerSecond> link_speed;
};
BOOST_DESCRIBE_STRUCT(FileHost, (), (name, cpus, memory, reserved_memory, cpu_overcommit, labels, link_speed))

struct FileVm {
    std::string name;
    std::string host;  ///< where it runs; empty: it is off
    int vcpus = 1;
    Bytes memory;
    std::optional<double> cpu_mean;  ///< cores it uses on average
    double cpu_deviation = 0;
    std::vector<double> cpu_by_hour;  ///< 24 means, UTC, or none
    std::optional<Bytes> working_set;
    std::string anti_affinity;
    std::map<std::string, std::string> host_labels;
    std::map<std::string, std::string> labels;
    MovePolicy moves = MovePolicy::free;
};
BOOST_DESCRIBE_STRUCT(FileVm, (),
                      (name, host, vcpus, memory, cpu_mean, cpu_deviation, cpu_by_hour, working_set, anti_affinity,
                       host_labels, labels, moves))

struct ClusterFile {
    std::string format;
    std::vector<FileHost> hosts;
    std::vector<FileVm> vms;
};
BOOST_DESCRIBE_STRUCT(ClusterFile, (), (format, hosts, vms))

struct DescribedCluster {
    Snapshot snapshot;
    ClusterLoad load;
};

/// Errors: invalid_argument naming the path of what is wrong ("vms[3].host: no host is named 'h9'").
[[nodiscard]] Result<DescribedCluster> read_cluster_file(const Json& json);

/// A snapshot that ballastd wrote (GET /api/v1/snapshot), or a cluster described by hand. Errors: invalid_argument (a
/// snapshot of another version says which, and which this one reads).
[[nodiscard]] Result<DescribedCluster> read_any_cluster(const Json& json);

}  // namespace ballast::scheduler
