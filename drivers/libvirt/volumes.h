#pragma once
// Pools and volumes through libvirt, one task each. Blocks: inside a task only.

#include <string>
#include <vector>

#include "core/error.h"
#include "drivers/libvirt/handle.h"
#include "drivers/types.h"

namespace ballast::drivers::libvirt {

[[nodiscard]] Result<std::vector<PoolView>> read_pools(virConnectPtr connection);
[[nodiscard]] Result<std::vector<VolumeView>> read_volumes(virConnectPtr connection, const std::string& pool);
[[nodiscard]] Result<VolumeView> read_one_volume(virConnectPtr connection, const std::string& pool,
                                                 const std::string& name);
[[nodiscard]] Result<VolumeView> make_volume(virConnectPtr connection, const NewVolume& volume);
/// Errors: invalid_argument when the source ends before or goes on after `size` bytes.
[[nodiscard]] Result<void> fill_volume(virConnectPtr connection, const std::string& pool, const std::string& name,
                                       Bytes size, const ByteSource& source);
[[nodiscard]] Result<std::string> read_volume_head(virConnectPtr connection, const std::string& pool,
                                                   const std::string& name, Bytes size);
/// An absent volume is success; an absent pool is not.
[[nodiscard]] Result<void> remove_volume(virConnectPtr connection, const std::string& pool, const std::string& name);
/// The <volume> document of a new volume.
[[nodiscard]] Result<std::string> make_volume_xml(const NewVolume& volume);

}  // namespace ballast::drivers::libvirt
