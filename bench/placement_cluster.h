#pragma once
// The cluster on which placement is measured: hosts of three sizes, ten VMs on each that take 70 % of its memory.

#include <memory>

#include <fmt/format.h>

#include "core/snapshot.h"

namespace ballast::bench {

inline constexpr int vms_per_host = 10;
inline constexpr double fill = 0.7;
inline constexpr int group_size = 8;

inline Host make_host(int number) {
    Host host;
    host.id = HostId(fmt::format("host-{:05}", number));
    host.name = fmt::format("h{:05}", number);
    host.managed = true;
    host.state = HostState::up;
    host.settings.labels = {{"zone", fmt::format("z{}", number % 3)}, {"disk", number % 2 == 0 ? "nvme" : "hdd"}};
    host.facts.cpus = 32 + 32 * (number % 3);
    host.facts.memory = gibibytes(128 + 128 * (number % 3));
    host.facts.cpu_models = {"qemu64", "EPYC", "EPYC-Rome"};
    host.facts.machine_types = {"pc-q35-7.2", "pc-q35-7.1", "pc-i440fx-7.2"};
    host.facts.accelerators = {"kvm", "qemu"};
    host.facts.networks = {{"default", true, "virbr0"}, {"storage", true, "virbr1"}};
    host.facts.bridges = {"br0"};
    return host;
}

inline Pool make_pool(const Host& host) {
    Pool pool;
    pool.id = pool_id(host.id, "shared");
    pool.host = host.id;
    pool.name = "shared";
    pool.path = "/srv/shared";
    pool.active = true;
    return pool;
}

/// One of the shapes that are asked for: each passes every rule somewhere, none everywhere.
inline VmSpec flavour(int number) {
    VmSpec spec;
    spec.memory = gibibytes(std::int64_t{1} << (number % 4));
    spec.vcpus = 1 + number % 4;
    spec.machine = "pc-q35-7.2";
    spec.cpu_model = number % 2 == 0 ? "EPYC" : "qemu64";
    spec.nics = {{.network = "default", .bridge = {}, .mac = {}}};
    spec.disks = {{.target = {}, .size = gibibytes(10), .image = {}, .pool = "shared", .volume = {}, .path = {}}};
    if (number % 4 == 1) spec.host_labels = {{"disk", "nvme"}};
    return spec;
}

inline Vm make_vm(int number, const Host& host, Bytes memory) {
    Vm vm;
    vm.id = VmId(fmt::format("{:08x}-0000-4000-8000-000000000000", number));
    vm.name = fmt::format("vm{}", number);
    vm.managed = true;
    vm.host = host.id;
    vm.state = VmState::running;
    vm.spec = flavour(number);
    vm.spec.memory = memory;
    vm.spec.anti_affinity = fmt::format("old-{}", number / group_size);
    Definition definition;
    definition.host = host.id;
    definition.state = DomainState::running;
    vm.definitions = {definition};
    return vm;
}

/// Ten VMs on each host that take 70 % of it, give or take a fifth.
inline std::shared_ptr<const Snapshot> make_cluster(int hosts) {
    auto snapshot = std::make_shared<Snapshot>();
    std::uint64_t random = 42;
    for (int i = 0; i < hosts; ++i) {
        const Host host = make_host(i);
        const double share = fill / vms_per_host * static_cast<double>(host.facts.memory.count());
        for (int k = 0; k < vms_per_host; ++k) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            const double part = 0.8 + 0.4 * static_cast<double>(random >> 40U) / static_cast<double>(1U << 24U);
            // Members of one group lie on hosts far from each other.
            snapshot->vms.put(make_vm(k * hosts + i, host, Bytes(static_cast<std::int64_t>(share * part))));
        }
        snapshot->pools.put(make_pool(host));
        snapshot->hosts.put(host);
    }
    return snapshot;
}

}  // namespace ballast::bench
