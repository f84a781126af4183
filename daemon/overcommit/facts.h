#pragma once
// From rows, a reading of the driver and a scrape to what the controller is told (memory/facts.h). Pure.

#include <map>
#include <optional>
#include <vector>

#include "core/snapshot.h"
#include "daemon/overcommit/exporter_text.h"
#include "daemon/overcommit/overhead.h"
#include "drivers/types.h"

namespace ballast::overcommit {

/// What an exporter adds; nothing of it where none is configured, or none can be read.
struct Seen {
    std::optional<ExporterReading> reading;
    Strain strain;
};

/// Where libvirt's QEMU driver writes managed saves.
inline constexpr std::string_view save_folder = "/var/lib/libvirt/qemu/save";

/// Where the host's memory for VMs is a part of the machine (settings.memory_capacity), and no exporter speaks for that
/// part, what is free is what the QEMU processes leave of it. Errors: failed_precondition (the exporter speaks of a
/// machine with other memory than libvirt's).
[[nodiscard]] Result<memory::HostMemory> host_memory(const Host& host, const drivers::MemoryStats& stats,
                                                     const Seen& seen);

/// The active domains, by name; `overheads` gets what was measured. One that is in no row, or only observed, has the
/// policy none.
[[nodiscard]] std::vector<memory::VmMemory> vm_memories(const Snapshot& snapshot, const Host& host,
                                                        const drivers::MemoryStats& stats,
                                                        const memory::HostMemory& memory,
                                                        std::map<VmId, OverheadMemo>& overheads, Timestamp now);

}  // namespace ballast::overcommit
