#pragma once
// Builders of core's rows for tests: `a_host().memory(gibibytes(64)).build()`,
// `a_vm("web1").on("h1").running().build()`, `a_cluster().with(a_host("h1")).with(a_vm("web1")).build()`. Header-only.
// Ids are the names, unless said otherwise.

#include <string>
#include <utility>
#include <vector>

#include "core/snapshot.h"

namespace ballast::test {

class HostBuilder {
  public:
    explicit HostBuilder(std::string name) {
        host_.id = HostId(name);
        host_.uri = "qemu+tcp://" + name + "/system";
        host_.name = std::move(name);
        host_.managed = true;
        host_.state = HostState::up;
        host_.facts = HostFacts{.host_uuid = host_.name,
                                .hostname = host_.name,
                                .architecture = "x86_64",
                                .libvirt_version = 9'000'000,
                                .qemu_version = 7'002'000,
                                .cpus = 8,
                                .memory = gibibytes(16),
                                .cpu_model = "EPYC",
                                .cpu_features = {},
                                .cpu_models = {"qemu64", "EPYC"},
                                .machine_types = {"pc-q35-7.2", "pc-q35-7.1"},
                                .accelerators = {"qemu"},
                                .firmware = {},
                                .numa = {},
                                .networks = {{"default", true, "virbr0"}},
                                .bridges = {"br0"},
                                .userfaultfd_likely = true};
    }
    HostBuilder& memory(Bytes memory) {
        return set([&] { host_.facts.memory = memory; });
    }
    HostBuilder& reserve(Bytes memory) {
        return set([&] { host_.settings.reserved_memory = memory; });
    }
    HostBuilder& memory_policy(MemoryPolicy policy) {
        return set([&] { host_.memory_policy = policy; });
    }
    HostBuilder& cpus(int cpus) {
        return set([&] { host_.facts.cpus = cpus; });
    }
    HostBuilder& overcommit(double ratio) {
        return set([&] { host_.settings.cpu_overcommit = ratio; });
    }
    HostBuilder& accelerators(std::vector<std::string> all) {
        return set([&] { host_.facts.accelerators = all; });
    }
    HostBuilder& observed() {
        return set([&] { host_.managed = false; });
    }
    HostBuilder& in_maintenance() {
        return set([&] { host_.maintenance = true; });
    }
    HostBuilder& confirmed_dead() {
        return set([&] { host_.confirmed_dead = true; });
    }
    HostBuilder& label(std::string key, std::string value) {
        return set([&] { host_.settings.labels[std::move(key)] = std::move(value); });
    }
    HostBuilder& zone(std::string zone) { return label("zone", std::move(zone)); }
    HostBuilder& taint(Taint taint) {
        return set([&] { host_.settings.taints.push_back(std::move(taint)); });
    }
    HostBuilder& device(std::string kind, int count) {
        return set([&] { host_.settings.devices[std::move(kind)] = count; });
    }
    HostBuilder& numa(std::vector<NumaCell> cells) {
        return set([&] { host_.facts.numa = std::move(cells); });
    }
    HostBuilder& state(HostState state, std::string reason = {}) {
        return set([&] {
            host_.state = state;
            host_.state_reason = std::move(reason);
        });
    }
    HostBuilder& qemu(std::uint64_t version) {
        return set([&] { host_.facts.qemu_version = version; });
    }
    HostBuilder& facts(HostFacts facts) {
        return set([&] { host_.facts = std::move(facts); });
    }
    HostBuilder& settings(HostSettings settings) {
        return set([&] { host_.settings = std::move(settings); });
    }
    [[nodiscard]] Host build() const { return host_; }
    [[nodiscard]] const HostFacts& facts_so_far() const { return host_.facts; }

  private:
    template <class Change>
    HostBuilder& set(Change change) {
        change();
        return *this;
    }
    Host host_;
};

class VmBuilder {
  public:
    explicit VmBuilder(std::string name) {
        vm_.id = VmId(name);
        vm_.name = std::move(name);
        vm_.managed = true;
        vm_.created_by_ballast = true;
        vm_.spec.memory = mebibytes(512);
        vm_.spec.machine = "pc-q35-7.2";
        vm_.spec.cpu_model = "qemu64";
    }
    VmBuilder& id(std::string id) {
        return set([&] { vm_.id = VmId(std::move(id)); });
    }
    VmBuilder& memory(Bytes memory) {
        return set([&] { vm_.spec.memory = memory; });
    }
    VmBuilder& minimum(Bytes memory) {
        return set([&] { vm_.spec.memory_minimum = memory; });
    }
    VmBuilder& memory_policy(MemoryPolicy policy) {
        return set([&] { vm_.spec.memory_policy = policy; });
    }
    VmBuilder& balloon(bool enabled) {
        return set([&] { vm_.spec.balloon.enabled = enabled; });
    }
    VmBuilder& boots(std::string kernel) {
        return set([&] { vm_.spec.boot.kernel = std::move(kernel); });
    }
    VmBuilder& vcpus(int vcpus) {
        return set([&] { vm_.spec.vcpus = vcpus; });
    }
    VmBuilder& group(std::string group) {
        return set([&] { vm_.spec.anti_affinity = std::move(group); });
    }
    VmBuilder& asks(AffinityTerm term) {
        return set([&] { vm_.spec.placement.affinity.push_back(std::move(term)); });
    }
    VmBuilder& placement(VmPlacement placement) {
        return set([&] { vm_.spec.placement = std::move(placement); });
    }
    VmBuilder& machine(std::string machine) {
        return set([&] { vm_.spec.machine = std::move(machine); });
    }
    VmBuilder& cpu_model(std::string model) {
        return set([&] { vm_.spec.cpu_model = std::move(model); });
    }
    VmBuilder& cpu_features(std::vector<std::string> features) {
        return set([&] { vm_.spec.cpu_features = std::move(features); });
    }
    VmBuilder& wants_host_label(std::string key, std::string value) {
        return set([&] { vm_.spec.host_labels[std::move(key)] = std::move(value); });
    }
    VmBuilder& disk(DiskSpec disk) {
        return set([&] { vm_.spec.disks.push_back(std::move(disk)); });
    }
    VmBuilder& nic(NicSpec nic) {
        return set([&] { vm_.spec.nics.push_back(std::move(nic)); });
    }
    VmBuilder& network(std::string network) {
        return set([&] { vm_.spec.nics.push_back({.network = std::move(network), .bridge = {}, .mac = {}}); });
    }
    VmBuilder& bridge(std::string bridge) {
        return set([&] { vm_.spec.nics.push_back({.network = {}, .bridge = std::move(bridge), .mac = {}}); });
    }
    VmBuilder& observed() {
        return set([&] { vm_.managed = false; });
    }
    VmBuilder& state(VmState state) {
        return set([&] { vm_.state = state; });
    }
    VmBuilder& epoch(std::uint64_t epoch) {
        return set([&] { vm_.epoch = epoch; });
    }
    /// Owned by and defined on this host, off.
    VmBuilder& on(std::string host) {
        return set([&] {
            vm_.host = HostId(host);
            define(host, DomainState::shut_off);
        });
    }
    /// Runs where it is owned.
    VmBuilder& running() {
        return set([&] {
            vm_.state = VmState::running;
            for (Definition& definition : vm_.definitions)
                if (definition.host == vm_.host) definition.state = DomainState::running;
        });
    }
    VmBuilder& also_defined_on(std::string host, DomainState state) {
        return set([&] { define(host, state); });
    }
    VmBuilder& bound_by(std::string bond) {
        return set([&] { vm_.definitions.at(0).bound_by.push_back(std::move(bond)); });
    }
    [[nodiscard]] Vm build() const { return vm_; }
    [[nodiscard]] VmSpec spec() const { return vm_.spec; }

  private:
    template <class Change>
    VmBuilder& set(Change change) {
        change();
        return *this;
    }
    void define(const std::string& host, DomainState state) {
        Definition definition;
        definition.host = HostId(host);
        definition.state = state;
        vm_.definitions.push_back(definition);
    }
    Vm vm_;
};

class PairBuilder {
  public:
    PairBuilder(const std::string& from, const std::string& to) {
        pair_.id = pair_id(HostId(from), HostId(to));
        pair_.from = HostId(from);
        pair_.to = HostId(to);
        pair_.checks = {{"peer_trust", CheckVerdict::ok, "reached", ""}};
    }
    PairBuilder& shares(std::string pool) {
        pair_.shared_pools.push_back(std::move(pool));
        return *this;
    }
    PairBuilder& check(PairCheck check) {
        pair_.checks.push_back(std::move(check));
        return *this;
    }
    PairBuilder& misses(std::vector<std::string> features) {
        pair_.missing_features = std::move(features);
        return *this;
    }
    PairBuilder& checked(Timestamp when) {
        pair_.checked = when;
        return *this;
    }
    [[nodiscard]] HostPair build() const { return pair_; }

  private:
    HostPair pair_;
};

[[nodiscard]] inline HostBuilder a_host(std::string name = "h1") {
    return HostBuilder(std::move(name));
}
[[nodiscard]] inline VmBuilder a_vm(std::string name = "web1") {
    return VmBuilder(std::move(name));
}
[[nodiscard]] inline PairBuilder a_pair(const std::string& from, const std::string& to) {
    return PairBuilder(from, to);
}

[[nodiscard]] inline Pool a_pool(const std::string& host, const std::string& name, bool active = true) {
    return Pool{.id = pool_id(HostId(host), name),
                .host = HostId(host),
                .name = name,
                .type = "dir",
                .path = "/pools/" + name,
                .active = active,
                .capacity = gibibytes(100),
                .available = gibibytes(50),
                .revision = 0};
}

[[nodiscard]] inline Image an_image(const std::string& name, const std::string& pool, const std::string& host) {
    Image image;
    image.id = ImageId("image-" + name);
    image.name = name;
    image.pool = pool;
    image.host = HostId(host);
    image.path = "/pools/" + pool + "/" + name;
    image.format = "qcow2";
    image.state = VolumeState::ready;
    return image;
}

[[nodiscard]] inline Claim a_claim(const std::string& job, const std::string& host, const std::string& vm, Bytes memory,
                                   int vcpus = 1) {
    Claim claim;
    claim.id = ClaimId(job);
    claim.job = JobId(job);
    claim.host = HostId(host);
    claim.vm = VmId(vm);
    claim.memory = memory;
    claim.vcpus = vcpus;
    return claim;
}

/// A Snapshot, row by row: rows and builders alike.
class ClusterBuilder {
  public:
    ClusterBuilder& with(const HostBuilder& host) { return with(host.build()); }
    ClusterBuilder& with(const VmBuilder& vm) { return with(vm.build()); }
    ClusterBuilder& with(const PairBuilder& pair) { return with(pair.build()); }
    ClusterBuilder& with(Host row) { return put(snapshot_.hosts, std::move(row)); }
    ClusterBuilder& with(Vm row) { return put(snapshot_.vms, std::move(row)); }
    ClusterBuilder& with(HostPair row) { return put(snapshot_.pairs, std::move(row)); }
    ClusterBuilder& with(Pool row) { return put(snapshot_.pools, std::move(row)); }
    ClusterBuilder& with(Image row) { return put(snapshot_.images, std::move(row)); }
    ClusterBuilder& with(Volume row) { return put(snapshot_.volumes, std::move(row)); }
    ClusterBuilder& with(Migration row) { return put(snapshot_.migrations, std::move(row)); }
    ClusterBuilder& with(Claim row) { return put(snapshot_.claims, std::move(row)); }
    ClusterBuilder& at_seq(std::uint64_t seq) {
        snapshot_.seq = seq;
        return *this;
    }
    [[nodiscard]] Snapshot build() const { return snapshot_; }

  private:
    template <class Row>
    ClusterBuilder& put(Table<Row>& table, Row row) {
        table.put(std::move(row));
        return *this;
    }
    Snapshot snapshot_;
};

[[nodiscard]] inline ClusterBuilder a_cluster() {
    return {};
}

}  // namespace ballast::test
