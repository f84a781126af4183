#pragma once
// Domain and capability XML of a host, as far as Ballast's vocabulary reaches. The text comes from outside: parsing
// never throws, never resolves entities or external parts, and refuses documents with a DTD. Pure.

#include <string>
#include <vector>

#include "core/error.h"
#include "drivers/libvirt/domain_xml.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// Id, name, spec, stamp, xml and what binds the VM by its devices. State and flags are the caller's.
[[nodiscard]] Result<DomainView> parse_domain(const std::string& xml);

/// A stamp from the ballast:vm element as virDomainGetMetadata returns it.
[[nodiscard]] Result<Stamp> parse_stamp(const std::string& xml);

/// virConnectGetCapabilities: host UUID, architecture, CPU model, NUMA cells.
[[nodiscard]] Result<void> read_capabilities(const std::string& xml, HostFacts& facts);

/// virConnectGetDomainCapabilities of one virtualization type.
struct DomainCapabilities {
    std::string virt_type;  ///< kvm | qemu
    std::vector<std::string> cpu_models;
    std::vector<std::string> firmware;
};
[[nodiscard]] Result<DomainCapabilities> parse_domain_capabilities(const std::string& xml);

/// The CPU of host-model guests in the host's domain capabilities, as a <cpu> element that libvirt takes; empty where
/// it offers none.
[[nodiscard]] std::string parse_host_model(const std::string& xml);
/// The features that a <cpu> element requires, sorted.
[[nodiscard]] std::vector<std::string> parse_features(const std::string& cpu);

/// Machine types of a guest architecture, from the host's capabilities.
[[nodiscard]] std::vector<std::string> parse_machine_types(const std::string& capabilities,
                                                           const std::string& architecture);
/// Virtualization types ("kvm", "qemu") of a guest architecture.
[[nodiscard]] std::vector<std::string> parse_virt_types(const std::string& capabilities,
                                                        const std::string& architecture);

struct VolumeXml {
    std::string format;
    std::string backing_path;
};
[[nodiscard]] VolumeXml parse_volume(const std::string& xml);

struct PoolXml {
    std::string type;
    std::string path;
};
[[nodiscard]] PoolXml parse_pool(const std::string& xml);

/// The bridge of a libvirt network; empty when it has none.
[[nodiscard]] std::string parse_network_bridge(const std::string& xml);

}  // namespace ballast::drivers::libvirt
