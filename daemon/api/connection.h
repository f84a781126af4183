#pragma once
// One connection: handshake, then request after request until the client leaves, a limit is met or the server ends.
// Decides what HTTP itself decides (framing, limits, keep-alive); everything else is the router's. Loop thread only:
// one coroutine, and one timer that ends it when it takes too long.

#include <functional>
#include <memory>

#include "daemon/api/router.h"
#include "daemon/api/transport.h"

namespace ballast::api {

class Connection {
  public:
    virtual ~Connection() = default;
    /// Ends at once when idle, after the running request otherwise; streams are told to end.
    virtual void finish() = 0;
    /// Ends now.
    virtual void abort() = 0;
};

/// Runs on the context's loop; `gone` is called at its end.
[[nodiscard]] std::shared_ptr<Connection> start_connection(std::shared_ptr<Transport> transport,
                                                           std::shared_ptr<Router> router, ContextPtr context,
                                                           std::function<void(Connection*)> gone);

}  // namespace ballast::api
