#pragma once
// The machine type that a VM gets where its spec names none: the newest q35 that every managed host has, so that the VM
// can move between all of them. Pure; one thread at a time.

#include <memory>
#include <string>

#include "core/snapshot.h"

namespace ballast::storage {

/// Empty: they have none in common.
[[nodiscard]] std::string common_machine(const Snapshot& snapshot);

/// The same, worked out anew only when some host's machine types have changed.
class CommonMachine {
  public:
    [[nodiscard]] const std::string& in(const std::shared_ptr<const Snapshot>& snapshot);

  private:
    std::shared_ptr<const Snapshot> seen_ = std::make_shared<const Snapshot>();
    std::string machine_;
};

}  // namespace ballast::storage
