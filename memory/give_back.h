#pragma once
// What guests get back when nobody will control their host any more: their maximum, as far as the host really has it
// (SAFETY.md 12). Decides sizes; sets nothing. Pure.

#include <span>
#include <vector>

#include "memory/balloon.h"
#include "memory/facts.h"

namespace ballast::memory {

/// Of the VMs whose policy lets a controller move them. What is free above the critical level is divided by what each
/// is missing. `reserve`: what the policy keeps free.
[[nodiscard]] std::vector<BalloonMove> give_back(const HostMemory& host, std::span<const VmMemory> vms, Bytes reserve);

}  // namespace ballast::memory
