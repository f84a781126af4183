#pragma once
// A byte stream to a client: TLS, or plain on loopback and unix sockets. Hides the socket types, so that HTTP is
// compiled once. Loop thread only; one reader and one writer at a time.

#include <memory>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include "core/error.h"
#include "daemon/api/http.h"
#include "daemon/api/tls.h"

namespace boost::asio::ssl {
class context;
}

namespace ballast::api {

class Transport {
  public:
    virtual ~Transport() = default;
    virtual Task<> handshake() = 0;
    /// 0 at the end.
    virtual Task<std::size_t> read_some(boost::asio::mutable_buffer into) = 0;
    virtual Task<> write(boost::asio::const_buffer bytes) = 0;
    /// Tells the peer that no more comes. Then close().
    virtual Task<> finish() = 0;
    /// Ends everything that waits on it. Idempotent.
    virtual void close() = 0;
    [[nodiscard]] virtual std::string peer() const = 0;
    /// The WebSocket on this stream, after the upgrade that `request` asked for (websocket.cpp).
    virtual Task<std::shared_ptr<WebSocket>> accept_websocket(Request request) = 0;
};

/// The certificate and how it is spoken: TLS 1.2 and 1.3. Errors: failed_precondition.
[[nodiscard]] Result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(const TlsIdentity& identity);

}  // namespace ballast::api
