#include "cli/console.h"

#include <array>
#include <csignal>
#include <optional>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/websocket.hpp>

#include "cli/tls_stream.h"
#include "core/try.h"

namespace ballast::cli {
namespace {

namespace websocket = beast::websocket;
constexpr char leave_key = 0x1d;  // Ctrl-]

/// Raw mode for as long as it lives.
class RawTerminal {
  public:
    RawTerminal() {
        if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios raw = before_;
        ::cfmakeraw(&raw);
        active_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    ~RawTerminal() {
        if (active_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

  private:
    termios before_{};
    bool active_ = false;
};

struct Session {
    Session(asio::io_context& io, std::shared_ptr<TlsConnection> tls)
        : connection(std::move(tls)),
          socket(connection->stream),
          in(io, ::dup(STDIN_FILENO)),
          signals(io, SIGTERM, SIGHUP, SIGINT) {}

    void end(std::string why) {
        if (!reason.empty()) return;
        reason = std::move(why);
        error_code ignored;
        in.cancel(ignored);
        signals.cancel(ignored);
        beast::get_lowest_layer(connection->stream).cancel();
    }

    std::shared_ptr<TlsConnection> connection;
    websocket::stream<TlsStream&> socket;
    asio::posix::stream_descriptor in;
    asio::signal_set signals;
    std::string reason;
};

bool write_all(std::string_view text) {
    while (!text.empty()) {
        const auto count = ::write(STDOUT_FILENO, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

asio::awaitable<void> from_guest(std::shared_ptr<Session> session) {
    beast::flat_buffer buffer;
    while (session->reason.empty()) {
        auto [error, count] = co_await session->socket.async_read(buffer, as_result);
        if (error == websocket::error::closed) {
            const auto& said = session->socket.reason().reason;
            session->end(said.empty() ? "the console was closed by ballastd" : std::string(said.c_str()));
        } else if (error) {
            session->end("the connection was lost: " + error.message());
        }
        if (error) co_return;
        const auto bytes = buffer.cdata();
        if (!write_all({static_cast<const char*>(bytes.data()), bytes.size()})) session->end("the output was closed");
        buffer.consume(buffer.size());
    }
}

asio::awaitable<void> to_guest(std::shared_ptr<Session> session) {
    std::array<char, 1024> keys{};
    while (session->reason.empty()) {
        auto [error, count] = co_await session->in.async_read_some(asio::buffer(keys), as_result);
        if (error == asio::error::eof) session->end("the input ended");
        if (error) co_return session->end("left");
        const std::string_view typed(keys.data(), count);
        const auto leave = typed.find(leave_key);
        const std::string text(typed.substr(0, leave));
        if (!text.empty()) {
            auto [unsent, written] = co_await session->socket.async_write(asio::buffer(text), as_result);
            if (unsent) co_return session->end("the connection was lost: " + unsent.message());
        }
        if (leave != std::string_view::npos) co_return session->end("left");
    }
}

asio::awaitable<void> until_signal(std::shared_ptr<Session> session) {
    auto [error, number] = co_await session->signals.async_wait(as_result);
    if (!error) session->end(fmt::format("ended by signal {}", number));
}

asio::awaitable<Result<HttpResponse>> open_console(std::shared_ptr<Session> session, Endpoint endpoint,
                                                   HttpRequest request) {
    websocket::response_type answer;
    session->socket.set_option(websocket::stream_base::decorator([headers = request.headers](auto& message) {
        for (const auto& [name, value] : headers) message.set(name, value);
    }));
    session->socket.binary(true);
    auto [error] = co_await session->socket.async_handshake(answer, endpoint.host + ":" + endpoint.port, request.target,
                                                            as_result);
    HttpResponse outcome{.status = static_cast<int>(answer.result_int()), .headers = {}, .body = answer.body()};
    if (!error) co_return outcome;
    if (error == websocket::error::upgrade_declined) co_return outcome;
    co_return fail(Code::unavailable, "the console of {} did not open: {}", endpoint.url, error.message());
}

void talk(asio::io_context& io, const std::shared_ptr<Session>& session) {
    const RawTerminal raw;
    asio::co_spawn(io, from_guest(session), asio::detached);
    asio::co_spawn(io, to_guest(session), asio::detached);
    asio::co_spawn(io, until_signal(session), asio::detached);
    io.restart();
    io.run();
}

}  // namespace

Result<HttpResponse> run_console(const Endpoint& endpoint, const Trust& trust, asio::ssl::context& tls,
                                 const HttpRequest& request) {
    asio::io_context io;
    BALLAST_TRY(auto connection, run_to_end(io, open_tls(&io, &tls, endpoint, trust, request.timeout)));
    beast::get_lowest_layer(connection->stream).expires_never();
    auto session = std::make_shared<Session>(io, std::move(connection));
    BALLAST_TRY(auto answer, run_to_end(io, open_console(session, endpoint, request)));
    if (answer.status != 101) return answer;
    talk(io, session);
    answer.body = session->reason;
    return answer;
}

}  // namespace ballast::cli
