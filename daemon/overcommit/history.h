#pragma once
// A host's picture as a point of its history. Pure.

#include <vector>

#include "daemon/overcommit/picture.h"
#include "daemon/store/memory_history.h"

namespace ballast::overcommit {

[[nodiscard]] store::MemoryPoint point_of(const HostPicture& picture);

}  // namespace ballast::overcommit
