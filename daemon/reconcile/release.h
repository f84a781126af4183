#pragma once
// The release of a dead host's VMs (SAFETY.md 3), for the API's confirm-dead route: call it in the transaction that
// sets Host::confirmed_dead. Decides nothing about whether the host is dead: the operator's word (later: fencing) is
// the proof. No driver, no host is touched. Runs on the writer thread, inside the change.
//
// A managed VM ends without an owner (`host` empty), stopped, its epoch raised, so that it may start on another host.
// An observed VM is only shown as stopped. A VM that a job works on is left to the job; it is released when the job
// ends without having moved it.

#include <string>

#include "core/ids.h"
#include "daemon/store/store.h"

namespace ballast::reconcile {

/// How many VMs were released.
int release_vms(store::Transaction& transaction, const HostId& host, const std::string& reason);

}  // namespace ballast::reconcile
