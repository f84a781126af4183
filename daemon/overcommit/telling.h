#pragma once
// What the controller does, in events for people: each act with its reason. Pure.

#include <span>
#include <string>

#include "core/job.h"
#include "core/snapshot.h"
#include "daemon/overcommit/picture.h"
#include "memory/control.h"

namespace ballast::overcommit {

/// With the row as it is: an event without one says that its subject is gone.
[[nodiscard]] Event about_host(const Snapshot& snapshot, const HostId& host, std::string kind, std::string message);
[[nodiscard]] Event about_vm(const Snapshot& snapshot, const VmId& vm, std::string kind, std::string message);

/// "h1: tight, was comfortable: 1.2 GiB are available of 2 GiB that are kept".
[[nodiscard]] std::string level_sentence(memory::Level before, const memory::Decisions& decisions);
/// "4 VMs give 1.2 GiB, 1 gets 512 MiB: db2 2 GiB -> 1.9 GiB (idle), …"; the largest eight are named.
[[nodiscard]] std::string moves_sentence(std::span<const memory::BalloonMove> moves, const Snapshot& snapshot);
/// "db2 keeps 2 GiB of 4 GiB, …": whose balloon Ballast has inflated, by the last look; empty: nobody's. The largest
/// eight are named.
[[nodiscard]] std::string squeezed_sentence(const HostPicture& picture);
/// "reclaim cache: …".
[[nodiscard]] std::string act_sentence(const memory::LadderAct& act);

}  // namespace ballast::overcommit
