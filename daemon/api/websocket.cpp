// WebSockets, by Beast: after the handshake of an upgrade, frames in both directions.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "core/try.h"
#include "daemon/api/transport_impl.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t largest_message = std::size_t{1} << 20U;
constexpr std::string_view console_protocol = "ballast.console";

std::unexpected<Error> lost(const boost::system::error_code& error) {
    return fail(Code::unavailable, "the WebSocket ended: {}", error.message());
}

TcpSocket& socket_of(TlsStream& stream) {
    return stream.next_layer();
}
template <class Socket>
Socket& socket_of(Socket& socket) {
    return socket;
}

template <class Stream>
class BeastWebSocket final : public WebSocket {
  public:
    BeastWebSocket(Stream* stream, std::shared_ptr<void> owner) : owner_(std::move(owner)), stream_(*stream) {
        // A peer that does not take part in the closing holds the guest's console no longer than this.
        stream_.set_option(websocket::stream_base::timeout{.handshake_timeout = std::chrono::seconds(5),
                                                           .idle_timeout = std::chrono::minutes(5),
                                                           .keep_alive_pings = true});
        stream_.read_message_max(largest_message);
    }

    Task<> accept(Request request) {
        beast::http::request<beast::http::empty_body> upgrade;
        upgrade.version(11);
        upgrade.method(beast::http::verb::get);
        upgrade.target(request.path);
        for (const auto& [name, value] : request.headers) upgrade.set(name, value);
        // A client that offered subprotocols (the token may be among them) must be answered one of them.
        const bool offered = request.header("sec-websocket-protocol").find(console_protocol) != std::string_view::npos;
        stream_.set_option(websocket::stream_base::decorator([offered](websocket::response_type& response) {
            if (offered) response.set(beast::http::field::sec_websocket_protocol, console_protocol);
        }));
        const auto [error] = co_await stream_.async_accept(upgrade, as_result);
        if (error) co_return lost(error);
        co_return Result<void>{};
    }

    Task<std::optional<Frame>> read() override {
        beast::flat_buffer buffer;
        const auto [error, size] = co_await stream_.async_read(buffer, as_result);
        if (error == websocket::error::closed) co_return std::optional<Frame>{};
        if (error) co_return lost(error);
        co_return Frame{.bytes = beast::buffers_to_string(buffer.data()), .text = stream_.got_text()};
    }

    Task<> write(Frame frame) override {
        stream_.text(frame.text);
        const auto [error, size] = co_await stream_.async_write(asio::buffer(frame.bytes), as_result);
        if (error) co_return lost(error);
        co_return Result<void>{};
    }

    Task<> close(std::uint16_t code, std::string reason) override {
        constexpr std::size_t longest_reason = 120;
        websocket::close_reason why(code);
        why.reason = reason.substr(0, longest_reason);
        const auto [error] = co_await stream_.async_close(why, as_result);
        if (error) co_return lost(error);
        co_return Result<void>{};
    }

    void abort() override {
        boost::system::error_code ignored;
        socket_of(stream_.next_layer()).close(ignored);
    }

  private:
    std::shared_ptr<void> owner_;
    websocket::stream<Stream&> stream_;
};

template <class Stream>
Task<std::shared_ptr<WebSocket>> accept_on(Stream* stream, std::shared_ptr<void> owner, Request request) {
    auto socket = std::make_shared<BeastWebSocket<Stream>>(stream, std::move(owner));
    BALLAST_CO_CHECK(co_await socket->accept(std::move(request)));
    co_return socket;
}

}  // namespace

Task<std::shared_ptr<WebSocket>> accept_websocket_on(TlsStream* stream, std::shared_ptr<void> owner, Request request) {
    return accept_on(stream, std::move(owner), std::move(request));
}
Task<std::shared_ptr<WebSocket>> accept_websocket_on(TcpSocket* stream, std::shared_ptr<void> owner, Request request) {
    return accept_on(stream, std::move(owner), std::move(request));
}
Task<std::shared_ptr<WebSocket>> accept_websocket_on(LocalSocket* stream, std::shared_ptr<void> owner,
                                                     Request request) {
    return accept_on(stream, std::move(owner), std::move(request));
}

}  // namespace ballast::api
