#include "scheduler/balance/htools.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "core/try.h"

namespace ballast::scheduler::balance {
namespace {

using Fields = std::vector<std::string_view>;
using NameIndex = std::unordered_map<std::string_view, Index>;

enum Section : std::size_t { groups, nodes, instances, tags, policies, sections_end };

constexpr std::int64_t largest = std::int64_t{1} << 50;  ///< sums of a million of them still fit
constexpr std::array external_templates{"sharedfile", "gluster", "blockdev", "rbd", "ext", "diskless"};
constexpr std::array local_templates{"plain", "drbd"};
constexpr std::array other_templates{"file"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

Fields split(std::string_view line) {
    Fields fields;
    for (;;) {
        const auto bar = line.find('|');
        fields.push_back(line.substr(0, bar));
        if (bar == std::string_view::npos) return fields;
        line.remove_prefix(bar + 1);
    }
}

/// Calls `visit(section, line, number)` for each line that is not empty, until it fails. An empty line ends a section.
template <class Visit>
Result<void> for_each_line(std::string_view text, const Visit& visit) {
    std::size_t section = groups;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty())
            ++section;
        else
            BALLAST_CHECK(visit(section, line, number));
    }
    return {};
}

class Parser {
  public:
    Parser(HtoolsCluster& cluster, std::string_view source) : cluster_(cluster), source_(source) {}

    Result<void> line(std::size_t section, std::string_view text, std::size_t number) {
        number_ = number;
        switch (section) {
            case groups:
                return group(split(text));
            case nodes:
                return node(split(text));
            case instances:
                return instance(split(text));
            case tags:
                return tag(text);
            case policies:
                return policy(split(text));
            default:
                return bad(
                    "a sixth section: the format has groups, nodes, instances, tags and policies, parted by one "
                    "empty line each");
        }
    }

    Result<void> finish() {
        if (group_name_.empty()) return bad("there is no node group: is this an htools text file?");
        if (cluster_.nodes.empty()) return bad("there are no nodes");
        return {};
    }

  private:
    std::unexpected<Error> bad(std::string_view what, Code code = Code::invalid_argument) const {
        return fail(code, "{}:{}: {}", source_, number_, what);
    }

    Result<std::int64_t> whole(std::string_view text, std::string_view what, std::int64_t least) const {
        std::int64_t value = 0;
        const auto* end = text.end();
        const auto [at, error] = std::from_chars(text.begin(), end, value);
        if (error != std::errc() || at != end || value < least || value > largest)
            return bad(fmt::format("{} is '{}', not a whole number from {} to {}", what, text, least, largest));
        return value;
    }

    Result<double> ratio(std::string_view text, std::string_view what) const {
        double value = 0;
        const auto* end = text.end();
        const auto [at, error] = std::from_chars(text.begin(), end, value);
        if (error != std::errc() || at != end || !std::isfinite(value) || value <= 0)
            return bad(fmt::format("{} is '{}', not a number above 0", what, text));
        return value;
    }

    Result<void> group(const Fields& fields) {
        if (fields.size() < 3) return bad(fmt::format("a group has 3 fields or more, here are {}", fields.size()));
        if (!group_name_.empty())
            return bad(fmt::format("group '{}' is a second node group; one group is planned at a time, as hbal does: "
                                   "leave the others out",
                                   fields[0]),
                       Code::unimplemented);
        group_name_ = fields[0];
        group_id_ = fields[1];
        return {};
    }

    Result<void> node(const Fields& fields) {
        if (fields.size() < 9) return bad(fmt::format("a node has 9 fields or more, here are {}", fields.size()));
        HtoolsNode node;
        node.name = fields[0];
        const auto known = [](std::string_view text) { return text != "?"; };
        node.offline = fields[7] == "Y" || !std::all_of(fields.begin() + 1, fields.begin() + 7, known);
        if (fields[7] != "Y" && fields[7] != "N" && fields[7] != "M")
            return bad(fmt::format("node '{}': the offline field is '{}', not Y, N or M", node.name, fields[7]));
        if (fields[8] != group_id_)
            return bad(fmt::format("node '{}': there is no group with the id '{}'", node.name, fields[8]));
        BALLAST_CHECK(node_figures(node, fields));
        if (!node_index_.emplace(node.name, static_cast<Index>(cluster_.nodes.size())).second)
            return bad(fmt::format("node '{}' is there twice", node.name));
        cluster_.nodes.push_back(node);
        return {};
    }

    Result<void> node_figures(HtoolsNode& node, const Fields& fields) const {
        const auto figure = [&](std::size_t field, std::string_view what, std::int64_t least) -> Result<std::int64_t> {
            if (fields[field] == "?") return 0;
            return whole(fields[field], fmt::format("node '{}': {}", node.name, what), node.offline ? -largest : least);
        };
        BALLAST_TRY(node.total_memory, figure(1, "the total memory", 1));
        BALLAST_TRY(node.node_memory, figure(2, "the node's own memory", 0));
        BALLAST_TRY(node.free_memory, figure(3, "the free memory", -largest));
        BALLAST_TRY(node.total_disk, figure(4, "the total disk", 0));
        BALLAST_TRY(node.free_disk, figure(5, "the free disk", -largest));
        BALLAST_TRY(node.cpus, figure(6, "the number of CPUs", 1));
        if (fields.size() > 9) {
            BALLAST_TRY(node.spindles, figure(9, "the number of spindles", 1));
        }
        if (fields.size() > 13) {
            BALLAST_TRY(node.node_cpus, figure(13, "the number of the node's own CPUs", 0));
        }
        if (fields.size() > 11 && fields[11] == "Y")
            return bad(fmt::format("node '{}' has exclusive storage, which is not understood", node.name),
                       Code::unimplemented);
        if (fields.size() > 14) {
            BALLAST_TRY(const double speed, ratio(fields[14], fmt::format("node '{}': the CPU speed", node.name)));
            if (speed != 1)
                return bad(fmt::format("node '{}' has a CPU speed of {}; only equal CPUs are understood", node.name,
                                       fields[14]),
                           Code::unimplemented);
        }
        return {};
    }

    Result<Index> node_named(std::string_view name, std::string_view instance) const {
        const auto at = node_index_.find(name);
        if (at == node_index_.end()) return bad(fmt::format("instance '{}': there is no node '{}'", instance, name));
        return at->second;
    }

    Result<void> instance(const Fields& fields) {
        if (fields.size() < 10)
            return bad(fmt::format("an instance has 10 fields or more, here are {}", fields.size()));
        HtoolsInstance made;
        made.name = fields[0];
        const auto named = [&](std::string_view what) { return fmt::format("instance '{}': {}", made.name, what); };
        BALLAST_TRY(made.memory, whole(fields[1], named("the memory"), 0));
        BALLAST_CHECK(whole(fields[2], named("the disk"), 0));
        BALLAST_TRY(made.vcpus, whole(fields[3], named("the number of vCPUs"), 0));
        if (fields[5] != "Y" && fields[5] != "N")
            return bad(named(fmt::format("auto-balance is '{}', not Y or N", fields[5])));
        made.auto_balance = fields[5] == "Y";
        BALLAST_TRY(made.primary, node_named(fields[6], made.name));
        if (!fields[7].empty()) {
            BALLAST_TRY(made.secondary, node_named(fields[7], made.name));
        }
        if (made.primary == made.secondary)
            return bad(named(fmt::format("'{}' is its primary and its secondary node", fields[6])));
        if (!contains(external_templates, fields[8]) && !contains(local_templates, fields[8]) &&
            !contains(other_templates, fields[8]))
            return bad(named(fmt::format("there is no disk template '{}'", fields[8])));
        made.local_disk = contains(local_templates, fields[8]);
        made.movable = contains(external_templates, fields[8]) && fields[7].empty();
        if (fields.size() > 10) {
            BALLAST_TRY(made.spindles, whole(fields[10], named("the spindle use"), 0));
        }
        if (fields.size() > 11 && fields[11] == "Y")
            return bad(named("it is only planned (forthcoming), which is not understood"), Code::unimplemented);
        if (!instance_names_.emplace(made.name, 0).second) return bad(named("it is there twice"));
        cluster_.instances.push_back(made);
        return {};
    }

    Result<void> tag(std::string_view text) const {
        if (text.starts_with("htools:"))
            return bad(fmt::format("the cluster tag '{}' restricts placements in a way that is not understood", text),
                       Code::unimplemented);
        return {};
    }

    Result<void> policy(const Fields& fields) {
        if (fields.size() < 6) return bad(fmt::format("a policy has 6 fields, here are {}", fields.size()));
        if (!fields[0].empty() && fields[0] != group_name_)
            return bad(fmt::format("a policy of group '{}', which does not exist", fields[0]));
        BALLAST_TRY(cluster_.vcpu_ratio, ratio(fields[4], "the vCPU ratio"));
        BALLAST_TRY(cluster_.spindle_ratio, ratio(fields[5], "the spindle ratio"));
        return {};
    }

    HtoolsCluster& cluster_;
    std::string_view source_;
    std::size_t number_ = 0;
    std::string_view group_name_;
    std::string_view group_id_;
    NameIndex node_index_;
    NameIndex instance_names_;
};

std::vector<std::int64_t> free_memory_with(const HtoolsCluster& cluster, const Assignment& at) {
    std::vector<std::int64_t> free;
    free.reserve(cluster.nodes.size());
    for (const auto& node : cluster.nodes) free.push_back(node.free_memory);
    for (std::size_t i = 0; i < at.size(); ++i) {
        free[static_cast<std::size_t>(cluster.instances[i].primary)] += cluster.instances[i].memory;
        free[static_cast<std::size_t>(at[i])] -= cluster.instances[i].memory;
    }
    return free;
}

/// The line with one field replaced.
void append_with(std::string& out, std::string_view line, std::size_t field, std::string_view value) {
    const auto fields = split(line);
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i > 0) out += '|';
        out += i == field ? value : fields[i];
    }
}

}  // namespace

Result<HtoolsCluster> parse_htools(std::string text, std::string_view source) {
    HtoolsCluster cluster;
    cluster.text = std::make_shared<const std::string>(std::move(text));
    Parser parser(cluster, source);
    BALLAST_CHECK(
        for_each_line(*cluster.text, [&parser](std::size_t section, std::string_view line, std::size_t number) {
            return parser.line(section, line, number);
        }));
    BALLAST_CHECK(parser.finish());
    return cluster;
}

std::string write_htools(const HtoolsCluster& cluster, const Assignment& at) {
    const auto free = free_memory_with(cluster, at);
    std::string out;
    out.reserve(cluster.text->size() + 64);
    std::size_t section = groups;
    std::size_t row = 0;
    for (std::string_view text = *cluster.text; !text.empty();) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty()) {
            ++section;
            row = 0;
        } else if (section == nodes && free[row] != cluster.nodes[row].free_memory) {
            append_with(out, line, 3, std::to_string(free[row]));
            ++row;
        } else if (section == instances && at[row] != cluster.instances[row].primary) {
            append_with(out, line, 6, cluster.nodes[static_cast<std::size_t>(at[row])].name);
            ++row;
        } else {
            out += line;
            ++row;
        }
        if (end != std::string_view::npos) out += '\n';
    }
    return out;
}

Assignment placements(const HtoolsCluster& cluster) {
    Assignment at;
    at.reserve(cluster.instances.size());
    for (const auto& instance : cluster.instances) at.push_back(instance.primary);
    return at;
}

}  // namespace ballast::scheduler::balance
