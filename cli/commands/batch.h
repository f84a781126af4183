#pragma once
// Several VMs at once: so many alike, or those of a file. For commands that place them all or none.

#include <string>

#include "cli/commands/vm_flags.h"

namespace ballast::cli {

struct BatchFlags {
    int count = 1;
    std::string file;  ///< documents as `vm apply` takes them; empty: VMs as the other flags say

    [[nodiscard]] bool several() const { return count > 1 || !file.empty(); }
};

void add_batch_flags(CLI::App& command, BatchFlags& flags);

/// The VMs in the API's form. One alone bears `name`, several are name-1, name-2, … Errors: invalid_argument.
[[nodiscard]] Result<Json> batch_json(const BatchFlags& flags, const VmFlags& vm, const std::string& name);

}  // namespace ballast::cli
