#pragma once
// From the spec that somebody wrote to the spec that can be built: pools, disk targets, sizes, boot files, volume
// names. Decides nothing about hosts; never acts. Pure: same snapshot, spec and ids, same answer.

#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/snapshot.h"

namespace ballast::storage {

/// Fills in what the spec leaves open: default pool, disk targets (vda, vdb, …), sizes and boot files from the image,
/// the newest q35 machine type that every managed host has (so that the VM can move between all of them). Errors:
/// not_found (image), failed_precondition (image not ready), invalid_argument (disk smaller than its image, target
/// given twice).
[[nodiscard]] Result<VmSpec> resolve_spec(const Snapshot& snapshot, VmSpec spec, std::string_view default_pool);

/// The volumes that a resolved spec needs and that do not exist yet, as rows in state `creating`; sets `volume` of each
/// such disk. A name holds the VM's name and eight characters of the id, so that it is never that of another volume.
[[nodiscard]] std::vector<Volume> plan_volumes(const Snapshot& snapshot, const Vm& vm, VmSpec& spec, IdSource& ids,
                                               Timestamp now);

/// The host through which something new goes into a pool: the one asked for, or the first managed one (by name) that
/// has the pool and the room. Errors: not_found (the host), resource_exhausted naming what each host lacks.
[[nodiscard]] Result<HostId> choose_host(const Snapshot& snapshot, std::string_view pool, std::string_view asked,
                                         Bytes need);

enum class ImageFormat : std::uint8_t { qcow2, raw, unknown };

struct ImageInspection {
    ImageFormat format = ImageFormat::unknown;
    Bytes virtual_size;  ///< qcow2: from the header; raw: the file's size
};

/// Looks at the first bytes of a file. Refuses what is no image, and a qcow2 that names another file (backing file or
/// external data): it would give its reader any file of the host. Errors: invalid_argument.
[[nodiscard]] Result<ImageInspection> inspect_image(std::string_view head, Bytes file_size);

/// Why a volume file may not be removed: who needs it (SAFETY.md 10). Empty: nobody known to the inventory.
[[nodiscard]] std::vector<std::string> users_of(const Snapshot& snapshot, std::string_view path, const VmId& except);

}  // namespace ballast::storage
