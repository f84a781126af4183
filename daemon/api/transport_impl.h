#pragma once
// The transports with their socket types. Included by server.cpp, transport.cpp and websocket.cpp alone
// (ARCHITECTURE.md 2).

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "daemon/api/transport.h"

namespace ballast::api {

using TcpSocket = boost::asio::ip::tcp::socket;
using LocalSocket = boost::asio::local::stream_protocol::socket;
using TlsStream = boost::asio::ssl::stream<TcpSocket>;

[[nodiscard]] std::shared_ptr<Transport> make_transport(TcpSocket socket,
                                                        std::shared_ptr<boost::asio::ssl::context> tls);
[[nodiscard]] std::shared_ptr<Transport> make_transport(TcpSocket socket);
[[nodiscard]] std::shared_ptr<Transport> make_transport(LocalSocket socket);

/// websocket.cpp. The stream must outlive the WebSocket: `owner` keeps it.
Task<std::shared_ptr<WebSocket>> accept_websocket_on(TlsStream* stream, std::shared_ptr<void> owner, Request request);
Task<std::shared_ptr<WebSocket>> accept_websocket_on(TcpSocket* stream, std::shared_ptr<void> owner, Request request);
Task<std::shared_ptr<WebSocket>> accept_websocket_on(LocalSocket* stream, std::shared_ptr<void> owner, Request request);

}  // namespace ballast::api
