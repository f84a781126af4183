#pragma once
// A TLS connection to ballastd that was checked before anything is sent over it. Internal to transport.cpp and
// console.cpp: the only files that see Beast.

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>

#include "cli/transport.h"

namespace ballast::cli {

namespace asio = boost::asio;
namespace beast = boost::beast;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using boost::system::error_code;

inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

struct TlsConnection {
    TlsConnection(asio::io_context& io, asio::ssl::context& context) : stream(io, context) {}
    TlsStream stream;
    beast::flat_buffer buffer;
    std::string seen_fingerprint;  ///< of the key the server showed
};

/// Errors: unavailable, unauthenticated, deadline_exceeded.
[[nodiscard]] asio::awaitable<Result<std::shared_ptr<TlsConnection>>> open_tls(asio::io_context* io,
                                                                               asio::ssl::context* context,
                                                                               Endpoint endpoint, Trust trust,
                                                                               Milliseconds timeout);

[[nodiscard]] asio::ssl::context make_tls_context(const Trust& trust, error_code& error);

/// Runs the coroutine to its end on `io`.
template <class T>
Result<T> run_to_end(asio::io_context& io, asio::awaitable<Result<T>> task) {
    Result<T> outcome = fail(Code::internal, "the connection's loop ended early");
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr what, Result<T> result) {
        thrown = std::move(what);
        outcome = std::move(result);
    });
    io.restart();
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    return outcome;
}

}  // namespace ballast::cli
