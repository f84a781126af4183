#pragma once
// A host: what the operator said of it (settings), what was read from it (facts), and how it is reached just now
// (state).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/memory_policy.h"
#include "core/units.h"
#include "core/vm_placement.h"

namespace ballast {

enum class HostState : std::uint8_t { connecting, up, slow, unreachable, quarantined, maintenance, removed };
BOOST_DESCRIBE_ENUM(HostState, connecting, up, slow, unreachable, quarantined, maintenance, removed)

enum class Accelerator : std::uint8_t { auto_, kvm, tcg };
BOOST_DESCRIBE_ENUM(Accelerator, auto_, kvm, tcg)

/// What the operator said. Part of the host's spec: its revision is the ETag.
struct HostSettings {
    std::map<std::string, std::string> labels;  ///< `zone` and `rack` say where it stands
    std::vector<Taint> taints;
    std::map<std::string, int> devices;  ///< kind -> how many VMs may be given; sr-iov functions, PCI devices
    Bytes reserved_memory;               ///< kept for the host itself, beside what QEMU processes need
    int reserved_cpus = 0;
    std::optional<Bytes> memory_capacity;  ///< overrides what the host reports
    std::optional<int> cpu_capacity;
    double cpu_overcommit = 4.0;  ///< vCPUs promised per usable core
    Accelerator accelerator = Accelerator::auto_;
    std::string peer_uri;           ///< the libvirt URI by which the other hosts reach it
    std::string migration_address;  ///< address or name for the migration stream; empty: libvirt's choice
    std::optional<BytesPerSecond> link_speed;
    std::optional<MemoryPolicy> memory_policy;  ///< null: what its labels or the configuration say
    std::string exporter;                       ///< URL of its Prometheus node exporter; empty: none
    std::optional<Watts> idle_power;            ///< what it draws doing nothing
    std::optional<Watts> max_power;             ///< and with every core busy
    friend bool operator==(const HostSettings&, const HostSettings&) = default;
};
BOOST_DESCRIBE_STRUCT(HostSettings, (),
                      (labels, taints, devices, reserved_memory, reserved_cpus, memory_capacity, cpu_capacity,
                       cpu_overcommit, accelerator, peer_uri, migration_address, link_speed, memory_policy, exporter,
                       idle_power, max_power))

/// Huge pages that a cell has set aside.
struct HugePages {
    Bytes size;
    std::int64_t count = 0;
    friend bool operator==(const HugePages&, const HugePages&) = default;
};
BOOST_DESCRIBE_STRUCT(HugePages, (), (size, count))

struct NumaCell {
    int cell = 0;
    Bytes memory;
    int cpus = 0;
    std::vector<HugePages> pages = {};  ///< other than of the base size
    friend bool operator==(const NumaCell&, const NumaCell&) = default;
};
BOOST_DESCRIBE_STRUCT(NumaCell, (), (cell, memory, cpus, pages))

struct HostNetwork {
    std::string name;
    bool active = false;
    std::string bridge;
    friend bool operator==(const HostNetwork&, const HostNetwork&) = default;
};
BOOST_DESCRIBE_STRUCT(HostNetwork, (), (name, active, bridge))

/// What was read from the host.
struct HostFacts {
    std::string host_uuid;  ///< libvirt's own UUID of the host: one host is added once
    std::string hostname;
    std::string architecture;
    std::uint64_t libvirt_version = 0;  ///< major * 1,000,000 + minor * 1,000 + release
    std::uint64_t qemu_version = 0;
    int cpus = 0;
    Bytes memory;
    std::string cpu_model;
    std::vector<std::string> cpu_features;  ///< that guests can have, the model's included; empty: not known
    std::vector<std::string> cpu_models;    ///< usable by guests with the chosen accelerator
    std::vector<std::string> machine_types;
    std::vector<std::string> accelerators;  ///< "kvm", "qemu" (TCG)
    std::vector<std::string> firmware;
    std::vector<NumaCell> numa;
    std::vector<HostNetwork> networks;
    std::vector<std::string> bridges;
    bool userfaultfd_likely = true;  ///< QEMU may use userfaultfd (post-copy); the preflight of a pair proves it
    friend bool operator==(const HostFacts&, const HostFacts&) = default;
};
BOOST_DESCRIBE_STRUCT(HostFacts, (),
                      (host_uuid, hostname, architecture, libvirt_version, qemu_version, cpus, memory, cpu_model,
                       cpu_features, cpu_models, machine_types, accelerators, firmware, numa, networks, bridges,
                       userfaultfd_likely))

struct Host {
    HostId id;
    std::string name;
    std::string uri;
    bool managed = false;      ///< false: observed, nothing on it is ever changed (SAFETY.md 1)
    bool maintenance = false;  ///< asked for by an operator; the state says what it is now
    bool confirmed_dead =
        false;  ///< SAFETY.md 3: its VMs are released; cleared when the operator resolves its quarantine
    HostState state = HostState::connecting;
    std::string state_reason;
    Timestamp state_since;
    MemoryPolicy memory_policy = MemoryPolicy::none;  ///< that counts here; of a host that is only observed: none
    HostSettings settings;
    HostFacts facts;
    std::uint64_t revision = 0;      ///< of the spec (name, uri, managed, maintenance, settings): the ETag
    std::uint64_t run_revision = 0;  ///< of everything else
    friend bool operator==(const Host&, const Host&) = default;
};
BOOST_DESCRIBE_STRUCT(Host, (),
                      (id, name, uri, managed, maintenance, confirmed_dead, state, state_reason, state_since,
                       memory_policy, settings, facts, revision, run_revision))

/// Memory that VMs may be promised: capacity (override or reported) less the reserve.
[[nodiscard]] Bytes usable_memory(const Host& host);
/// vCPUs that may be promised: (cores - reserved) x overcommit.
[[nodiscard]] int usable_vcpus(const Host& host);
/// The zone and the rack it stands in, by its labels; empty: none is known.
[[nodiscard]] std::string_view zone_of(const Host& host);
[[nodiscard]] std::string_view rack_of(const Host& host);
/// The libvirt URI by which the other hosts reach it: the one that was set for that, or else its own.
[[nodiscard]] const std::string& peer_uri_of(const Host& host);
/// The accelerator that VMs get on this host: the operator's choice, else KVM where the host offers it.
[[nodiscard]] Accelerator accelerator_of(const Host& host);
/// Whether Ballast may begin something new there.
[[nodiscard]] bool accepts_work(const Host& host);

}  // namespace ballast
