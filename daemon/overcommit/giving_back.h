#pragma once
// The last thing before a stop: the guests of all hosts get their memory back, within a time that a stop has. Loop
// thread.

#include <memory>
#include <vector>

#include "daemon/overcommit/keeper.h"

namespace ballast::overcommit {

/// In this order, several at a time. What a host refuses is logged. Returns the hosts that were not through in time: of
/// one that has begun, the call it waits for goes on by itself.
[[nodiscard]] boost::asio::awaitable<std::vector<HostId>> give_back_all(
    boost::asio::any_io_executor loop, std::vector<std::pair<HostId, std::shared_ptr<Keeper>>> keepers,
    GiveBackLimits limits);

}  // namespace ballast::overcommit
