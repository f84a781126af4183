// The spec as the host shows it, against the spec as Ballast knows it.
#include <algorithm>
#include <set>

#include "daemon/reconcile/merge.h"

namespace ballast::reconcile {
namespace {

/// Collects "field ours -> on_host" parts.
class Differences {
  public:
    template <class T>
    void compare(std::string_view field, const T& ours, const T& on_host) {
        if (ours != on_host) parts_.push_back(fmt::format("{} {} -> {}", field, ours, on_host));
    }
    /// An empty spec left the choice to Ballast: nothing to compare.
    void compare_if_given(std::string_view field, const std::string& ours, const std::string& on_host) {
        if (!ours.empty()) compare(field, ours, on_host);
    }
    [[nodiscard]] std::string text() const { return fmt::format("{}", fmt::join(parts_, "; ")); }

  private:
    std::vector<std::string> parts_;
};

/// The disks' paths; nullopt while one is not known yet.
std::optional<std::set<std::string>> paths_of(const std::vector<DiskSpec>& disks) {
    std::set<std::string> paths;
    for (const auto& disk : disks) {
        if (disk.path.empty()) return std::nullopt;
        paths.insert(disk.path);
    }
    return paths;
}

void compare_disks(Differences& found, const VmSpec& spec, const VmSpec& on_host) {
    const auto ours = paths_of(spec.disks);
    const auto theirs = paths_of(on_host.disks);
    if (ours && theirs && *ours != *theirs)
        found.compare("disks", fmt::format("{}", fmt::join(*ours, ", ")), fmt::format("{}", fmt::join(*theirs, ", ")));
    else
        found.compare("number of disks", spec.disks.size(), on_host.disks.size());
}

void compare_nics(Differences& found, const VmSpec& spec, const VmSpec& on_host) {
    if (spec.nics.size() != on_host.nics.size()) {
        found.compare("number of NICs", spec.nics.size(), on_host.nics.size());
        return;
    }
    for (std::size_t i = 0; i < spec.nics.size(); ++i) {
        found.compare_if_given(fmt::format("nics[{}].network", i), spec.nics[i].network, on_host.nics[i].network);
        found.compare_if_given(fmt::format("nics[{}].bridge", i), spec.nics[i].bridge, on_host.nics[i].bridge);
        found.compare_if_given(fmt::format("nics[{}].mac", i), spec.nics[i].mac, on_host.nics[i].mac);
    }
}

}  // namespace

std::string spec_difference(const VmSpec& spec, const VmSpec& on_host) {
    Differences found;
    found.compare("vcpus", spec.vcpus, on_host.vcpus);
    found.compare("memory", spec.memory, on_host.memory);
    compare_disks(found, spec, on_host);
    compare_nics(found, spec, on_host);
    found.compare_if_given("boot.kernel", spec.boot.kernel, on_host.boot.kernel);
    found.compare_if_given("boot.cmdline", spec.boot.cmdline, on_host.boot.cmdline);
    return found.text();
}

VmSpec follow_host(const VmSpec& ours, VmSpec on_host) {
    on_host.memory_minimum = std::min(ours.memory_minimum, on_host.memory);
    on_host.labels = ours.labels;
    on_host.host_labels = ours.host_labels;
    on_host.anti_affinity = ours.anti_affinity;
    on_host.placement = ours.placement;
    on_host.autostart = ours.autostart;
    on_host.moves = ours.moves;
    on_host.memory_policy = ours.memory_policy;
    const bool merge = on_host.overcommit.merge;  // in the definition, unlike the rest of it
    on_host.overcommit = ours.overcommit;
    on_host.overcommit.merge = merge;
    on_host.migration = ours.migration;
    for (auto& disk : on_host.disks) {
        const auto known = std::ranges::find(ours.disks, disk.path, &DiskSpec::path);
        if (disk.path.empty() || known == ours.disks.end()) continue;
        disk.volume = known->volume;
        disk.image = known->image;
        if (disk.pool.empty()) disk.pool = known->pool;
        if (disk.size.count() == 0) disk.size = known->size;
    }
    return on_host;
}

}  // namespace ballast::reconcile
