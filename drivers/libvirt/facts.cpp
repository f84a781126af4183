#include "drivers/libvirt/facts.h"

#include <algorithm>
#include <string_view>

#include "core/try.h"
#include "drivers/libvirt/domain_parse.h"
#include "drivers/libvirt/error.h"

namespace ballast::drivers::libvirt {
namespace {

using Interface = std::unique_ptr<virInterface, Releaser<virInterfaceFree>>;

Result<std::string> read_capability_text(virConnectPtr connection) {
    char* raw = virConnectGetCapabilities(connection);
    if (raw == nullptr) return refused("can't read the host's capabilities");
    return take_text(raw);
}

/// Absent where the driver has no domain capabilities (test).
std::optional<DomainCapabilities> find_domain_capabilities(virConnectPtr connection, const std::string& architecture,
                                                           const std::string& virt_type) {
    char* raw =
        virConnectGetDomainCapabilities(connection, nullptr, architecture.c_str(), nullptr, virt_type.c_str(), 0);
    if (raw == nullptr) return std::nullopt;
    auto parsed = parse_domain_capabilities(take_text(raw));
    if (!parsed) return std::nullopt;
    return std::move(*parsed);
}

void add_unique(std::vector<std::string>& to, const std::vector<std::string>& from) {
    for (const auto& one : from)
        if (std::find(to.begin(), to.end(), one) == to.end()) to.push_back(one);
}

void read_guest_abilities(virConnectPtr connection, const std::string& capabilities, HostFacts& facts) {
    facts.machine_types = parse_machine_types(capabilities, facts.architecture);
    for (const auto& type : parse_virt_types(capabilities, facts.architecture)) {
        const auto found = find_domain_capabilities(connection, facts.architecture, type);
        if (!found) continue;
        facts.accelerators.push_back(type);
        add_unique(facts.cpu_models, found->cpu_models);
        add_unique(facts.firmware, found->firmware);
    }
    // KVM first, where both are there: it is what `auto` takes.
    std::partition(facts.accelerators.begin(), facts.accelerators.end(),
                   [](const auto& type) { return type == "kvm"; });
}

/// With those that the model has by its name. Empty where they can't be told: an old libvirt, the test driver.
std::vector<std::string> find_guest_features(virConnectPtr connection) {
    return read_guest_features(connection).value_or(std::vector<std::string>());
}

/// virNodeGetInfo may count only one NUMA node's memory; the memory statistics count all.
Bytes read_memory(virConnectPtr connection, const virNodeInfo& info) {
    const Bytes reported = kibibytes(static_cast<std::int64_t>(info.memory));
    int count = 0;
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, nullptr, &count, 0) < 0 || count <= 0)
        return reported;
    std::vector<virNodeMemoryStats> stats(static_cast<std::size_t>(count));
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats.data(), &count, 0) < 0)
        return reported;
    for (const auto& one : stats)
        if (std::string_view(one.field) == VIR_NODE_MEMORY_STATS_TOTAL)
            return std::max(reported, kibibytes(static_cast<std::int64_t>(one.value)));
    return reported;
}

void read_networks(virConnectPtr connection, HostFacts& facts) {
    virNetworkPtr* raw = nullptr;
    const int count = virConnectListAllNetworks(connection, &raw, 0);
    if (count < 0) return;
    for (const auto& network : adopt_list<Network>(raw, count)) {
        const std::string bridge = parse_network_bridge(take_text(virNetworkGetXMLDesc(network.get(), 0)));
        facts.networks.push_back({.name = virNetworkGetName(network.get()),
                                  .active = virNetworkIsActive(network.get()) == 1,
                                  .bridge = bridge});
        if (!bridge.empty()) add_unique(facts.bridges, {bridge});
    }
}

/// Bridges that no libvirt network names; hosts without an interface driver have none to tell.
void read_bridges(virConnectPtr connection, HostFacts& facts) {
    virInterfacePtr* raw = nullptr;
    const int count = virConnectListAllInterfaces(connection, &raw, VIR_CONNECT_LIST_INTERFACES_ACTIVE);
    if (count < 0) return;
    for (const auto& interface : adopt_list<Interface>(raw, count)) {
        const std::string xml = take_text(virInterfaceGetXMLDesc(interface.get(), 0));
        if (xml.find("<interface type='bridge'") != std::string::npos)
            add_unique(facts.bridges, {virInterfaceGetName(interface.get())});
    }
}

/// QEMU may use userfaultfd for post-copy only as root, unless the kernel was told otherwise
/// (vm.unprivileged_userfaultfd), which libvirt does not show.
bool runs_qemu_as_root(const std::string& capabilities) {
    const auto label = capabilities.find("<baselabel type='qemu'>+");
    return label == std::string::npos || capabilities.compare(label, 26, "<baselabel type='qemu'>+0:") == 0;
}

}  // namespace

Result<HostFacts> read_facts(virConnectPtr connection) {
    BALLAST_TRY(const auto capabilities, read_capability_text(connection));
    HostFacts facts;
    BALLAST_CHECK(read_capabilities(capabilities, facts));
    facts.hostname = take_text(virConnectGetHostname(connection));
    unsigned long version = 0;
    if (virConnectGetLibVersion(connection, &version) == 0) facts.libvirt_version = version;
    if (virConnectGetVersion(connection, &version) == 0) facts.qemu_version = version;
    virNodeInfo info{};
    if (virNodeGetInfo(connection, &info) < 0) return refused("can't read the host's CPUs and memory");
    facts.cpus = static_cast<int>(info.cpus);
    facts.memory = read_memory(connection, info);
    read_guest_abilities(connection, capabilities, facts);
    facts.cpu_features = find_guest_features(connection);
    read_networks(connection, facts);
    read_bridges(connection, facts);
    facts.userfaultfd_likely = runs_qemu_as_root(capabilities);
    return facts;
}

Result<Platform> read_platform(virConnectPtr connection) {
    BALLAST_TRY(const auto capabilities, read_capability_text(connection));
    HostFacts facts;
    BALLAST_CHECK(read_capabilities(capabilities, facts));
    const char* driver = virConnectGetType(connection);
    if (driver != nullptr && std::string_view(driver) == "TEST") {
        Platform mock;
        mock.architecture = "i686";
        mock.mock = true;
        return mock;
    }
    const auto types = parse_virt_types(capabilities, facts.architecture);
    const auto offers = [&](const char* type) { return std::find(types.begin(), types.end(), type) != types.end(); };
    unsigned long version = 0;
    static_cast<void>(virConnectGetLibVersion(connection, &version));
    return Platform{.architecture = facts.architecture,
                    .kvm = offers("kvm"),
                    .tcg = offers("qemu"),
                    .machine_types = parse_machine_types(capabilities, facts.architecture),
                    .libvirt_version = version};
}

Result<std::vector<std::string>> read_guest_features(virConnectPtr connection) {
    BALLAST_TRY(const auto platform, read_platform(connection));
    if (platform.mock) return fail(Code::unimplemented, "libvirt's test driver has no CPU of its own");
    const char* virt_type = platform.kvm ? "kvm" : "qemu";
    const char* architecture = platform.architecture.c_str();
    char* raw = virConnectGetDomainCapabilities(connection, nullptr, architecture, nullptr, virt_type, 0);
    if (raw == nullptr) return refused("can't read the host's domain capabilities");
    const std::string cpu = parse_host_model(take_text(raw));
    if (cpu.empty())
        return fail(Code::unimplemented, "the host offers no host-model CPU to guests of type {}", virt_type);
    const char* cpus[] = {cpu.c_str()};
    raw = virConnectBaselineHypervisorCPU(connection, nullptr, architecture, nullptr, virt_type, cpus, 1,
                                          VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES);
    if (raw == nullptr) return refused("can't read the features of the host's CPU");
    return parse_features(take_text(raw));
}

}  // namespace ballast::drivers::libvirt
