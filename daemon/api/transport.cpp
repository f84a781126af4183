#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "core/try.h"
#include "daemon/api/transport_impl.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::unexpected<Error> lost(const boost::system::error_code& error) {
    return fail(Code::unavailable, "the connection ended: {}", error.message());
}

TcpSocket& socket_of(TlsStream& stream) {
    return stream.next_layer();
}
template <class Socket>
Socket& socket_of(Socket& socket) {
    return socket;
}

std::string peer_of(const TcpSocket& socket) {
    boost::system::error_code ignored;
    const auto endpoint = socket.remote_endpoint(ignored);
    return ignored ? "gone" : endpoint.address().to_string();
}
std::string peer_of(const LocalSocket&) {
    return "local";
}

template <class Socket>
class SocketTransport final : public Transport, public std::enable_shared_from_this<SocketTransport<Socket>> {
  public:
    template <class... Args>
    explicit SocketTransport(std::shared_ptr<asio::ssl::context> tls, std::string peer, Args&&... args)
        : tls_(std::move(tls)), peer_(std::move(peer)), stream_(std::forward<Args>(args)...) {}

    Task<> handshake() override {
        if constexpr (std::is_same_v<Socket, TlsStream>) {
            const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, as_result);
            if (error) co_return lost(error);
        }
        co_return Result<void>{};
    }

    Task<std::size_t> read_some(asio::mutable_buffer into) override {
        const auto [error, size] = co_await stream_.async_read_some(into, as_result);
        if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) co_return std::size_t{0};
        if (error) co_return lost(error);
        co_return size;
    }

    Task<> write(asio::const_buffer bytes) override {
        const auto [error, size] = co_await asio::async_write(stream_, asio::buffer(bytes), as_result);
        if (error) co_return lost(error);
        co_return Result<void>{};
    }

    Task<> finish() override {
        if constexpr (std::is_same_v<Socket, TlsStream>) {
            const auto [error] = co_await stream_.async_shutdown(as_result);
            if (error) co_return lost(error);
        } else {
            boost::system::error_code ignored;
            stream_.shutdown(Socket::shutdown_send, ignored);
        }
        co_return Result<void>{};
    }

    void close() override {
        boost::system::error_code ignored;
        socket_of(stream_).close(ignored);
    }

    [[nodiscard]] std::string peer() const override { return peer_; }

    Task<std::shared_ptr<WebSocket>> accept_websocket(Request request) override {
        auto self = this->shared_from_this();
        auto accepted = co_await accept_websocket_on(&stream_, std::move(self), std::move(request));
        co_return accepted;
    }

  private:
    std::shared_ptr<asio::ssl::context> tls_;  ///< must outlive the stream
    std::string peer_;
    Socket stream_;
};

}  // namespace

std::shared_ptr<Transport> make_transport(TcpSocket socket, std::shared_ptr<asio::ssl::context> tls) {
    std::string peer = peer_of(socket);
    asio::ssl::context& context = *tls;
    return std::make_shared<SocketTransport<TlsStream>>(std::move(tls), std::move(peer), std::move(socket), context);
}

std::shared_ptr<Transport> make_transport(TcpSocket socket) {
    std::string peer = peer_of(socket);
    return std::make_shared<SocketTransport<TcpSocket>>(nullptr, std::move(peer), std::move(socket));
}

std::shared_ptr<Transport> make_transport(LocalSocket socket) {
    std::string peer = peer_of(socket);
    return std::make_shared<SocketTransport<LocalSocket>>(nullptr, std::move(peer), std::move(socket));
}

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const TlsIdentity& identity) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    boost::system::error_code error;
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    context->use_certificate_chain(asio::buffer(identity.certificate_pem), error);
    if (!error) context->use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem, error);
    if (error) return fail(Code::failed_precondition, "the API's certificate can't be used: {}", error.message());
    return context;
}

}  // namespace ballast::api
