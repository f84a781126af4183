#pragma once
// Proves that one host's libvirtd reaches and trusts another's, without an agent and without moving anything. Blocks
// for as long as the host needs to connect: inside a job only.

#include <string>
#include <vector>

#include "core/error.h"
#include "core/storage_rows.h"
#include "drivers/libvirt/handle.h"

namespace ballast::drivers::libvirt {

/// How: an inactive domain without devices is defined on this host, its peer-to-peer offline migration is asked for
/// with a destination XML of another UUID, and the domain is undefined again. libvirt connects to the peer first and
/// compares the two definitions next, on the source: so the refusal that follows proves the connection, and nothing
/// ever reaches the peer but that connection. It defines and removes a domain: for managed hosts only (SAFETY.md 1).
[[nodiscard]] Result<std::vector<PairCheck>> probe_peer_from(virConnectPtr connection, const std::string& peer_uri,
                                                             const std::string& migration_address);

}  // namespace ballast::drivers::libvirt
