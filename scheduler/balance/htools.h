#pragma once
// Ganeti's htools text format (hbal -t): groups, nodes, instances, cluster tags and policies, sections parted by empty
// lines, fields by '|'. Reads it, scores it as hbal does, makes a levelling problem of it (problem.h), and writes it
// with other placements, free memory included, so that hbal reads the result without a warning. Pure: the text comes
// and goes as a string; `source` is only the name for messages.
//
// What it does not understand it refuses with file and line, rather than to plan past it: more than one node group,
// cluster tags of htools itself (exclusion, migration, location), exclusive storage.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "scheduler/balance/problem.h"

namespace ballast::scheduler::balance {

/// Memory and disk in MiB, as the format has them.
struct HtoolsNode {
    std::string_view name;
    std::int64_t total_memory = 0;
    std::int64_t node_memory = 0;  ///< what the node itself takes
    std::int64_t free_memory = 0;
    std::int64_t total_disk = 0;
    std::int64_t free_disk = 0;
    std::int64_t cpus = 0;
    std::int64_t spindles = 1;
    std::int64_t node_cpus = 1;
    bool offline = false;
};

struct HtoolsInstance {
    std::string_view name;
    std::int64_t memory = 0;
    std::int64_t vcpus = 0;
    std::int64_t spindles = 1;
    Index primary = 0;
    Index secondary = -1;  ///< -1: none
    bool auto_balance = true;
    bool local_disk = false;  ///< plain, file or drbd: the disks are on the node's own storage
    bool movable = false;     ///< its disks can be reached from every node
};

struct HtoolsCluster {
    std::shared_ptr<const std::string> text;  ///< what the views point into
    std::vector<HtoolsNode> nodes;
    std::vector<HtoolsInstance> instances;
    double vcpu_ratio = 4;
    double spindle_ratio = 32;
};

[[nodiscard]] Result<HtoolsCluster> parse_htools(std::string text, std::string_view source);

/// The same text with these placements (by instance) and the free memory that follows from them; every field that is
/// not concerned stays as it was.
[[nodiscard]] std::string write_htools(const HtoolsCluster& cluster, const Assignment& at);

/// One statistic of hbal's score.
struct HtoolsMetric {
    std::string_view name;
    double weight = 0;
    double value = 0;
};
/// All of them, by hbal's names and weights (hbal(1), 3.0), without exclusion and location tags.
[[nodiscard]] std::vector<HtoolsMetric> htools_metrics(const HtoolsCluster& cluster, const Assignment& at);
[[nodiscard]] double htools_score(const HtoolsCluster& cluster, const Assignment& at);

[[nodiscard]] Assignment placements(const HtoolsCluster& cluster);
/// The problem whose objective is hbal's score; VMs by instance, hosts by node.
[[nodiscard]] Problem htools_problem(const HtoolsCluster& cluster);

}  // namespace ballast::scheduler::balance
