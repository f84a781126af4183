#include "daemon/api/server.h"

#include <algorithm>
#include <map>
#include <set>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/api/connection.h"
#include "daemon/api/metrics.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/row_cache.h"
#include "daemon/api/sse.h"
#include "daemon/api/transport_impl.h"
#include "daemon/api/upload.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr int pool_threads = 2;

using TcpAcceptor = asio::ip::tcp::acceptor;
using LocalAcceptor = asio::local::stream_protocol::acceptor;

std::unexpected<Error> cannot_listen(const std::string& where, const boost::system::error_code& error) {
    if (error == asio::error::address_in_use)
        return fail(Code::unavailable, "{} is in use by another program; stop it, or set `server.port` to another port",
                    where);
    if (error == asio::error::access_denied)
        return fail(Code::unavailable, "{} may not be used: {}; choose a port above 1023", where, error.message());
    return fail(Code::unavailable, "the API can't listen on {}: {}", where, error.message());
}

class ApiServer final : public Server, public std::enable_shared_from_this<ApiServer> {
  public:
    ApiServer(asio::any_io_executor loop, ServerOptions options)
        : loop_(std::move(loop)), options_(std::move(options)), pool_(pool_threads), timer_(loop_) {}

    ~ApiServer() override { pool_.join(); }

    Result<void> start(Services services) {
        BALLAST_CHECK(read_tls(services.clock->now()));
        remove_partial_uploads(services.upload_folder);
        auto context = std::make_shared<Context>();
        static_cast<Services&>(*context) = std::move(services);
        context->loop = loop_;
        context->cpu = pool_.get_executor();
        context->rows = std::make_shared<RowCache>();
        context->metrics = std::make_shared<Metrics>();
        context->events = make_event_hub(*context);
        context_ = context;
        router_ = std::make_shared<Router>(all_routes(), context_);
        for (const auto& endpoint : options_.listen) BALLAST_CHECK(listen(endpoint));
        asio::co_spawn(loop_, renew(weak_from_this()), asio::detached);
        return {};
    }

    [[nodiscard]] std::vector<Endpoint> bound() const override { return bound_; }
    [[nodiscard]] const TlsIdentity& tls() const override { return identity_; }
    [[nodiscard]] const ContextPtr& context() const override { return context_; }

    asio::awaitable<void> stop(Milliseconds within) override {
        const auto self = shared_from_this();
        const auto end = std::chrono::steady_clock::now() + within;
        close_acceptors();
        for (const auto& connection : copy_of_connections()) connection->finish();
        asio::steady_timer pause(loop_);
        while (!connections_.empty() && std::chrono::steady_clock::now() < end) {
            pause.expires_after(Milliseconds(10));
            static_cast<void>(co_await pause.async_wait(as_result));
        }
        if (!connections_.empty())
            spdlog::warn("{} connections are ended before their request was", connections_.size());
        for (const auto& connection : copy_of_connections()) connection->abort();
        timer_.cancel();
        context_->events->close();
    }

  private:
    Result<void> read_tls(Timestamp now) {
        const bool wanted =
            std::ranges::any_of(options_.listen, [](const auto& e) { return e.kind == Endpoint::Kind::tls; });
        if (!wanted) return {};
        BALLAST_TRY(auto identity, load_or_make_tls(options_.tls, now));
        if (identity.certificate_pem == identity_.certificate_pem) return {};
        BALLAST_TRY(tls_, make_tls_context(identity));
        identity_ = std::move(identity);
        spdlog::info("the API's certificate is valid until {}, its key is {}", to_string(identity_.not_after),
                     identity_.key_fingerprint);
        return {};
    }

    /// New connections get the renewed certificate; those that are open keep theirs.
    static asio::awaitable<void> renew(std::weak_ptr<ApiServer> weak) {
        while (const auto self = weak.lock()) {
            self->timer_.expires_after(self->options_.tls_check_interval);
            const auto [error] = co_await self->timer_.async_wait(as_result);
            if (error) co_return;
            if (auto read = self->read_tls(self->context_->clock->now()); !read)
                spdlog::error("the API's certificate can't be renewed: {}", read.error().chain());
        }
    }

    Result<void> listen(const Endpoint& endpoint) {
        return endpoint.kind == Endpoint::Kind::local ? listen_local(endpoint) : listen_tcp(endpoint);
    }

    Result<void> listen_tcp(Endpoint endpoint) {
        boost::system::error_code error;
        const auto address = asio::ip::make_address(endpoint.address, error);
        if (error) return fail(Code::invalid_argument, "server.listen: '{}' is not an IP address", endpoint.address);
        if (endpoint.kind == Endpoint::Kind::plain && !address.is_loopback())
            return fail(Code::invalid_argument,
                        "plain HTTP on {} would show tokens to the network; use TLS, or a loopback address",
                        endpoint.address);
        const std::string where = fmt::format("{}:{}", endpoint.address, endpoint.port);
        auto acceptor = std::make_shared<TcpAcceptor>(loop_);
        const asio::ip::tcp::endpoint at(address, static_cast<std::uint16_t>(endpoint.port));
        acceptor->open(at.protocol(), error);
        if (!error) acceptor->set_option(TcpAcceptor::reuse_address(true), error);
        if (!error) acceptor->bind(at, error);
        if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
        if (error) return cannot_listen(where, error);
        endpoint.port = acceptor->local_endpoint().port();
        bound_.push_back(endpoint);
        tcp_.push_back(acceptor);
        asio::co_spawn(loop_, accept_tcp(weak_from_this(), acceptor, endpoint.kind), asio::detached);
        return {};
    }

    Result<void> listen_local(const Endpoint& endpoint) {
        boost::system::error_code error;
        ::unlink(endpoint.address.c_str());  // left by a crash; two daemons are kept apart by the store's lock
        auto acceptor = std::make_shared<LocalAcceptor>(loop_);
        const asio::local::stream_protocol::endpoint at(endpoint.address);
        acceptor->open(at.protocol(), error);
        if (!error) acceptor->bind(at, error);
        if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
        if (error) return cannot_listen(endpoint.address, error);
        bound_.push_back(endpoint);
        local_.push_back(acceptor);
        asio::co_spawn(loop_, accept_local(weak_from_this(), acceptor), asio::detached);
        return {};
    }

    static asio::awaitable<void> accept_tcp(std::weak_ptr<ApiServer> weak, std::shared_ptr<TcpAcceptor> acceptor,
                                            Endpoint::Kind kind) {
        while (acceptor->is_open()) {
            auto [error, socket] = co_await acceptor->async_accept(as_result);
            const auto self = weak.lock();
            if (!self || !acceptor->is_open()) co_return;
            if (error) {
                co_await self->pause_after(error);
                continue;
            }
            boost::system::error_code ignored;
            socket.set_option(asio::ip::tcp::no_delay(true), ignored);
            self->take(kind == Endpoint::Kind::tls ? make_transport(std::move(socket), self->tls_)
                                                   : make_transport(std::move(socket)));
        }
    }

    static asio::awaitable<void> accept_local(std::weak_ptr<ApiServer> weak, std::shared_ptr<LocalAcceptor> acceptor) {
        while (acceptor->is_open()) {
            auto [error, socket] = co_await acceptor->async_accept(as_result);
            const auto self = weak.lock();
            if (!self || !acceptor->is_open()) co_return;
            if (error)
                co_await self->pause_after(error);
            else
                self->take(make_transport(std::move(socket)));
        }
    }

    /// Out of file descriptors, mostly: try again soon instead of spinning.
    asio::awaitable<void> pause_after(boost::system::error_code error) {
        spdlog::warn("a connection can't be accepted: {}", error.message());
        asio::steady_timer pause(loop_, Milliseconds(100));
        static_cast<void>(co_await pause.async_wait(as_result));
    }

    void take(std::shared_ptr<Transport> transport) {
        const std::string peer = transport->peer();
        const Limits& limits = context_->limits;
        if (static_cast<int>(connections_.size()) >= limits.connections ||
            by_peer_[peer] >= limits.connections_per_peer) {
            context_->metrics->count_refused_connection();
            transport->close();
            return;
        }
        ++by_peer_[peer];
        context_->metrics->count_connection(1);
        auto gone = [weak = weak_from_this(), peer](Connection* connection) {
            if (const auto self = weak.lock()) self->forget(connection, peer);
        };
        auto connection = start_connection(std::move(transport), router_, context_, std::move(gone));
        connections_.emplace(connection.get(), connection);
    }

    void forget(Connection* connection, const std::string& peer) {
        connections_.erase(connection);
        if (--by_peer_[peer] <= 0) by_peer_.erase(peer);
        context_->metrics->count_connection(-1);
    }

    [[nodiscard]] std::vector<std::shared_ptr<Connection>> copy_of_connections() const {
        std::vector<std::shared_ptr<Connection>> all;
        for (const auto& [key, connection] : connections_) all.push_back(connection);
        return all;
    }

    void close_acceptors() {
        boost::system::error_code ignored;
        for (const auto& acceptor : tcp_) acceptor->close(ignored);
        for (const auto& acceptor : local_) acceptor->close(ignored);
        for (const auto& endpoint : bound_)
            if (endpoint.kind == Endpoint::Kind::local) ::unlink(endpoint.address.c_str());
    }

    asio::any_io_executor loop_;
    ServerOptions options_;
    asio::thread_pool pool_;
    asio::steady_timer timer_;
    TlsIdentity identity_;
    std::shared_ptr<asio::ssl::context> tls_;
    ContextPtr context_;
    std::shared_ptr<Router> router_;
    std::vector<Endpoint> bound_;
    std::vector<std::shared_ptr<TcpAcceptor>> tcp_;
    std::vector<std::shared_ptr<LocalAcceptor>> local_;
    std::map<Connection*, std::shared_ptr<Connection>> connections_;
    std::map<std::string, int> by_peer_;
};

}  // namespace

Result<std::shared_ptr<Server>> start_server(asio::any_io_executor loop, Services services, ServerOptions options) {
    auto server = std::make_shared<ApiServer>(std::move(loop), std::move(options));
    BALLAST_CHECK(server->start(std::move(services)));
    return server;
}

}  // namespace ballast::api
