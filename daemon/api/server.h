#pragma once
// Listens, accepts within the limits, and stops in order. Decides nothing about requests (router.h). Loop thread only.

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "daemon/api/router.h"
#include "daemon/api/services.h"
#include "daemon/api/tls.h"

namespace ballast::api {

struct Endpoint {
    enum class Kind : std::uint8_t { tls, plain, local };
    Kind kind = Kind::tls;
    std::string address = "127.0.0.1";  ///< IP address; of `local`: the socket's path. `plain` only on loopback
    int port = 0;                       ///< 0: any free one; bound() tells which
};

struct ServerOptions {
    std::vector<Endpoint> listen;
    TlsFiles tls;
    Milliseconds tls_check_interval{3'600'000};  ///< how often the certificate's end is looked at
};

class Server {
  public:
    virtual ~Server() = default;
    /// The endpoints with the ports that were really bound.
    [[nodiscard]] virtual std::vector<Endpoint> bound() const = 0;
    [[nodiscard]] virtual const TlsIdentity& tls() const = 0;
    [[nodiscard]] virtual const ContextPtr& context() const = 0;
    /// Accepts no more, ends what is idle and every stream, lets requests finish; what is left when `within` has passed
    /// is ended.
    virtual boost::asio::awaitable<void> stop(Milliseconds within) = 0;
};

/// Binds and begins to serve on `loop` (one thread). Errors: unavailable (an address in use), invalid_argument
/// (no address, plain HTTP beyond loopback), failed_precondition (TLS files).
[[nodiscard]] Result<std::shared_ptr<Server>> start_server(boost::asio::any_io_executor loop, Services services,
                                                           ServerOptions options);

}  // namespace ballast::api
