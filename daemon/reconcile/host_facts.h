#pragma once
// What was read of a host, as changes of the inventory: facts into its row, pools into theirs. Pure functions for a
// store change; nothing is written where nothing differs. Free space alone is news only when it moved by a fiftieth of
// the pool: it is not worth an event per sweep.

#include <string>
#include <vector>

#include "daemon/store/store.h"
#include "drivers/types.h"

namespace ballast::reconcile {

/// Stores the facts, unless the host is a duplicate: then nothing is stored and the reason is returned.
[[nodiscard]] std::string put_facts(store::Transaction& transaction, const HostId& host, const HostFacts& facts);

void put_pools(store::Transaction& transaction, const HostId& host, const std::vector<drivers::PoolView>& pools);

/// Forgets the pools of a host that left, and its pairs.
void forget_storage(store::Transaction& transaction, const HostId& host);

}  // namespace ballast::reconcile
