#pragma once
// Domain XML from Ballast's definition, built as a document and never by pasting text, so that every name and command
// line is escaped. Decides virtualization type, machine, CPU and devices; never looks at a host itself: what the host
// offers comes in as a Platform. Pure.

#include <string>
#include <vector>

#include "core/error.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

/// What a host offers to a definition, from its domain capabilities.
struct Platform {
    std::string architecture = "x86_64";
    bool kvm = false;
    bool tcg = true;
    bool mock = false;                       ///< libvirt's test driver: no accelerator, no machine types
    std::vector<std::string> machine_types;  ///< as the host lists them
    std::uint64_t libvirt_version = 0;       ///< 0: the newest that is known
    friend bool operator==(const Platform&, const Platform&) = default;
};

/// Errors: failed_precondition (the host lacks the accelerator or machine), invalid_argument naming the field.
[[nodiscard]] Result<std::string> make_domain_xml(const DomainDefinition& definition, const Platform& platform);

/// The ballast:vm metadata element of a stamp, as virDomainSetMetadata wants it: without the namespace.
[[nodiscard]] std::string make_stamp_xml(const Stamp& stamp);

/// The newest versioned pc-q35 machine of the list; empty when there is none.
[[nodiscard]] std::string newest_q35(const std::vector<std::string>& machine_types);

/// 52:54:00 and three bytes of the VM's id and the NIC's index: stable, so a definition made twice is the same.
[[nodiscard]] std::string mac_of(const VmId& vm, std::size_t index);

inline constexpr const char* metadata_uri = "https://ballast.dev/xmlns/1";
inline constexpr const char* metadata_prefix = "ballast";

}  // namespace ballast::drivers::libvirt
