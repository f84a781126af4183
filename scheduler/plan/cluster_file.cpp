#include "scheduler/plan/cluster_file.h"

#include <algorithm>
#include <cmath>

#include "core/json_impl.h"
#include "core/try.h"
#include "scheduler/plan/what_if.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(scheduler::ClusterFile)
BALLAST_INSTANTIATE_JSON(scheduler::WhatIfAsk)
BALLAST_INSTANTIATE_JSON(scheduler::WhatIfAnswer)

namespace scheduler {
namespace {

constexpr std::size_t hours_of_a_day = 24;

bool is_load(double cores) {
    return std::isfinite(cores) && cores >= 0;
}

Result<void> check(const FileHost& host, std::string_view path) {
    if (host.name.empty()) return fail(Code::invalid_argument, "{}.name: every host needs one", path);
    if (host.cpus < 1) return fail(Code::invalid_argument, "{}.cpus: {} is below 1", path, host.cpus);
    if (host.memory.count() < 1) return fail(Code::invalid_argument, "{}.memory: how much it has is missing", path);
    if (!(std::isfinite(host.cpu_overcommit) && host.cpu_overcommit > 0))
        return fail(Code::invalid_argument, "{}.cpu_overcommit: {} is no number above 0", path, host.cpu_overcommit);
    return {};
}

Result<void> check(const FileVm& vm, std::string_view path) {
    if (vm.name.empty()) return fail(Code::invalid_argument, "{}.name: every VM needs one", path);
    if (vm.vcpus < 1) return fail(Code::invalid_argument, "{}.vcpus: {} is below 1", path, vm.vcpus);
    if (vm.memory.count() < 1) return fail(Code::invalid_argument, "{}.memory: how much it needs is missing", path);
    if (!is_load(vm.cpu_mean.value_or(0)) || !is_load(vm.cpu_deviation))
        return fail(Code::invalid_argument, "{}: its load is no number of cores from 0 on", path);
    if (!vm.cpu_by_hour.empty() && vm.cpu_by_hour.size() != hours_of_a_day)
        return fail(Code::invalid_argument, "{}.cpu_by_hour: {} values, not 24 or none", path, vm.cpu_by_hour.size());
    if (!std::ranges::all_of(vm.cpu_by_hour, is_load))
        return fail(Code::invalid_argument, "{}.cpu_by_hour: one is no number of cores from 0 on", path);
    return {};
}

Host host_of(const FileHost& file) {
    Host host;
    host.id = HostId(file.name);
    host.name = file.name;
    host.uri = "file:" + file.name;
    host.managed = true;
    host.state = HostState::up;
    host.settings.labels = file.labels;
    host.settings.reserved_memory = file.reserved_memory;
    host.settings.cpu_overcommit = file.cpu_overcommit;
    host.settings.link_speed = file.link_speed;
    host.facts.host_uuid = host.facts.hostname = file.name;
    host.facts.cpus = file.cpus;
    host.facts.memory = file.memory;
    host.facts.accelerators = {"kvm", "qemu"};
    return host;
}

Vm vm_of(const FileVm& file) {
    Vm vm;
    vm.id = VmId(file.name);
    vm.name = file.name;
    vm.managed = true;
    vm.spec.vcpus = file.vcpus;
    vm.spec.memory = file.memory;
    vm.spec.anti_affinity = file.anti_affinity;
    vm.spec.host_labels = file.host_labels;
    vm.spec.labels = file.labels;
    vm.spec.moves = file.moves;
    if (file.host.empty()) return vm;
    vm.host = HostId(file.host);
    vm.state = VmState::running;
    vm.balloon = file.memory;
    Definition here;
    here.host = *vm.host;
    here.state = DomainState::running;
    vm.definitions = {here};
    return vm;
}

VmLoad load_of(const FileVm& file) {
    VmLoad load;
    load.cpu_mean = *file.cpu_mean;
    load.cpu_deviation = file.cpu_deviation;
    load.cpu_by_hour = file.cpu_by_hour;
    load.working_set = file.working_set.value_or(Bytes(0));
    return load;
}

/// Every two hosts may exchange VMs: a description by hand knows of no obstacle.
void put_pairs(Snapshot& snapshot) {
    const auto hosts = snapshot.hosts.rows();
    for (const auto& from : hosts)
        for (const auto& to : hosts) {
            if (from->id == to->id) continue;
            HostPair pair;
            pair.id = pair_id(from->id, to->id);
            pair.from = from->id;
            pair.to = to->id;
            snapshot.pairs.put(std::move(pair));
        }
}

}  // namespace

Result<DescribedCluster> read_cluster_file(const Json& json) {
    BALLAST_TRY(const auto file, from_json<ClusterFile>(json, "cluster"));
    if (file.format != cluster_file_format)
        return fail(Code::invalid_argument, "format: '{}' is not '{}'", file.format, cluster_file_format);
    DescribedCluster cluster;
    cluster.snapshot.cluster = "described by hand";
    for (std::size_t i = 0; i < file.hosts.size(); ++i) {
        const std::string path = fmt::format("hosts[{}]", i);
        BALLAST_CHECK(check(file.hosts[i], path));
        if (cluster.snapshot.hosts.find(HostId(file.hosts[i].name)) != nullptr)
            return fail(Code::invalid_argument, "{}.name: '{}' is there twice", path, file.hosts[i].name);
        cluster.snapshot.hosts.put(host_of(file.hosts[i]));
    }
    for (std::size_t i = 0; i < file.vms.size(); ++i) {
        const FileVm& vm = file.vms[i];
        const std::string path = fmt::format("vms[{}]", i);
        BALLAST_CHECK(check(vm, path));
        if (!vm.host.empty() && cluster.snapshot.hosts.find(HostId(vm.host)) == nullptr)
            return fail(Code::invalid_argument, "{}.host: no host is named '{}'", path, vm.host);
        if (cluster.snapshot.vms.find(VmId(vm.name)) != nullptr)
            return fail(Code::invalid_argument, "{}.name: '{}' is there twice", path, vm.name);
        cluster.snapshot.vms.put(vm_of(vm));
        if (vm.cpu_mean) cluster.load.vms.emplace(VmId(vm.name), load_of(vm));
    }
    put_pairs(cluster.snapshot);
    return cluster;
}

Result<DescribedCluster> read_any_cluster(const Json& json) {
    if (json.is_object() && json.contains("format") && json["format"].is_string()) return read_cluster_file(json);
    DescribedCluster cluster;
    BALLAST_TRY(cluster.snapshot, snapshot_from_json(json));
    return cluster;
}

}  // namespace scheduler

}  // namespace ballast
