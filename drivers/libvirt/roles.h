#pragma once
// The roles of a libvirt host, each in a file of its own. A role holds nothing but the executor; every call it offers
// is one task for it. Thread rule: as in drivers/driver.h.

#include <memory>

#include "drivers/driver.h"
#include "drivers/libvirt/executor.h"

namespace ballast::drivers::libvirt {

using ExecutorPtr = std::shared_ptr<Executor>;

[[nodiscard]] std::unique_ptr<Compute> make_compute(ExecutorPtr executor);
[[nodiscard]] std::unique_ptr<Statistics> make_statistics(ExecutorPtr executor, EventSink sink);
[[nodiscard]] std::unique_ptr<MigrationRole> make_migration(ExecutorPtr executor);
[[nodiscard]] std::unique_ptr<Memory> make_memory(ExecutorPtr executor);
[[nodiscard]] std::unique_ptr<Storage> make_storage(ExecutorPtr executor);

/// Opens the guest's serial console on a connection of its own.
[[nodiscard]] Task<std::shared_ptr<Console>> open_console(ExecutorPtr executor, VmId vm);

}  // namespace ballast::drivers::libvirt
