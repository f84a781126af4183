#include "cli/transport.h"

#include <fstream>
#include <thread>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http.hpp>

#include "cli/console.h"
#include "cli/tls_stream.h"
#include "core/try.h"

namespace ballast::cli {
namespace {

namespace http = beast::http;
constexpr int attempts = 4;
constexpr Milliseconds first_pause{200};
/// ballastd sends a comment at least every 15 s on a quiet stream.
constexpr Milliseconds quiet_limit{60'000};

/// An exchange that broke: whether anything of the answer was seen decides nothing, `error` alone does.
struct Broken {
    error_code error;
};
template <class T>
using Exchange = std::expected<T, Broken>;

template <class Message>
void set_head(Message& message, const HttpRequest& request, const Endpoint& endpoint) {
    message.version(11);
    message.method_string(request.verb);
    message.target(request.target);
    message.set(http::field::host, endpoint.host + ":" + endpoint.port);
    for (const auto& [name, value] : request.headers) message.set(name, value);
}

template <class Fields>
HttpResponse answer_of(const Fields& message) {
    HttpResponse answer;
    answer.status = static_cast<int>(message.result_int());
    for (const auto& field : message) {
        std::string name(field.name_string());
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        answer.headers[name] = field.value();
    }
    return answer;
}

asio::awaitable<error_code> write_text(std::shared_ptr<TlsConnection> connection, HttpRequest request,
                                       Endpoint endpoint) {
    http::request<http::string_body> message;
    set_head(message, request, endpoint);
    message.body() = request.body;
    if (!request.body.empty() || request.verb != "GET") message.prepare_payload();
    auto [error, count] = co_await http::async_write(connection->stream, message, as_result);
    co_return error;
}

asio::awaitable<error_code> write_file(std::shared_ptr<TlsConnection> connection, HttpRequest request,
                                       Endpoint endpoint) {
    std::ifstream file(request.body_file, std::ios::binary | std::ios::ate);
    const auto total = static_cast<std::int64_t>(file.tellg());
    file.seekg(0);
    http::request<http::buffer_body> message;
    set_head(message, request, endpoint);
    message.content_length(static_cast<std::uint64_t>(total));
    message.body().data = nullptr;
    message.body().more = true;
    http::request_serializer<http::buffer_body> serializer(message);
    auto [head_error, head_count] = co_await http::async_write_header(connection->stream, serializer, as_result);
    if (head_error) co_return head_error;
    std::vector<char> chunk(std::size_t{1} << 18U);
    std::int64_t sent = 0;
    while (!serializer.is_done()) {
        file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
        const auto got = file.gcount();
        sent += got;
        message.body().data = got > 0 ? chunk.data() : nullptr;
        message.body().size = static_cast<std::size_t>(got);
        message.body().more = sent < total && got > 0;
        beast::get_lowest_layer(connection->stream).expires_after(request.timeout);
        auto [error, count] = co_await http::async_write(connection->stream, serializer, as_result);
        if (error && error != http::error::need_buffer) co_return error;
        if (request.on_sent) request.on_sent(sent, total);
    }
    co_return error_code{};
}

asio::awaitable<error_code> write_request(std::shared_ptr<TlsConnection> connection, HttpRequest request,
                                          Endpoint endpoint) {
    beast::get_lowest_layer(connection->stream).expires_after(request.timeout);
    if (request.body_file.empty()) {
        const error_code error = co_await write_text(connection, std::move(request), std::move(endpoint));
        co_return error;
    }
    const error_code error = co_await write_file(connection, std::move(request), std::move(endpoint));
    co_return error;
}

/// A server that refuses a large upload answers and closes: the answer counts more than the failed write.
asio::awaitable<Exchange<HttpResponse>> exchange(std::shared_ptr<TlsConnection> connection, HttpRequest request,
                                                 Endpoint endpoint) {
    const Milliseconds timeout = request.timeout;
    const bool head_only = request.verb == "HEAD";
    const error_code unsent = co_await write_request(connection, std::move(request), std::move(endpoint));
    beast::get_lowest_layer(connection->stream).expires_after(timeout);
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{256} << 20U);
    parser.skip(head_only);
    auto [error, count] = co_await http::async_read(connection->stream, connection->buffer, parser, as_result);
    if (error) co_return std::unexpected(Broken{unsent ? unsent : error});
    HttpResponse answer = answer_of(parser.get());
    answer.body = std::move(parser.get().body());
    if (!parser.keep_alive() || unsent) answer.headers["connection"] = "close";
    beast::get_lowest_layer(connection->stream).expires_never();
    co_return answer;
}

/// Reads an event stream until somebody has enough of it. `status` 0 in the answer: the stream ended without a word.
struct StreamReader {
    std::shared_ptr<TlsConnection> connection;
    HttpRequest request;
    Endpoint endpoint;
    const Follower* follower;

    Milliseconds patience() const {
        if (!follower->deadline) return quiet_limit;
        const auto left =
            std::chrono::duration_cast<Milliseconds>(*follower->deadline - std::chrono::steady_clock::now());
        return std::clamp(left, Milliseconds(1), quiet_limit);
    }
};

asio::awaitable<Exchange<HttpResponse>> read_stream(std::shared_ptr<StreamReader> reader) {
    auto& stream = reader->connection->stream;
    auto& tcp = beast::get_lowest_layer(stream);
    const error_code unsent = co_await write_request(reader->connection, reader->request, reader->endpoint);
    if (unsent) co_return std::unexpected(Broken{unsent});
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    tcp.expires_after(std::min(reader->request.timeout, reader->patience()));
    auto [no_head, head] = co_await http::async_read_header(stream, reader->connection->buffer, parser, as_result);
    if (no_head) co_return std::unexpected(Broken{no_head});
    HttpResponse answer = answer_of(parser.get());
    const bool events = answer.status == 200;
    if (events && reader->follower->on_open && !reader->follower->on_open()) co_return answer;
    EventParser lines;
    std::vector<char> chunk(std::size_t{1} << 16U);
    while (!parser.is_done()) {
        parser.get().body().data = chunk.data();
        parser.get().body().size = chunk.size();
        tcp.expires_after(reader->patience());
        auto [error, count] = co_await http::async_read_some(stream, reader->connection->buffer, parser, as_result);
        const std::string_view text(chunk.data(), chunk.size() - parser.get().body().size);
        if (!events) answer.body += text;
        if (events && !lines.feed(text, reader->follower->on_event)) co_return answer;
        if (error && error != http::error::need_buffer) co_return std::unexpected(Broken{error});
    }
    co_return answer;
}

class BeastTransport final : public Transport {
  public:
    BeastTransport(Endpoint endpoint, Trust trust)
        : endpoint_(std::move(endpoint)), trust_(std::move(trust)), tls_(make_tls_context(trust_, tls_error_)) {}

    Result<HttpResponse> send(const HttpRequest& request) override {
        BALLAST_CHECK(check_tls());
        Milliseconds pause = first_pause;
        for (int attempt = 1;; ++attempt) {
            const bool last = attempt == attempts || !request.repeatable;
            const bool reused = connection_ != nullptr;
            auto answer = run_to_end(io_, attempt_once(request));
            if (answer || answer.error().code() != Code::unavailable) return answer;
            connection_.reset();
            if (last || (attempt == 1 && never_connected_)) return answer;
            if (!reused) std::this_thread::sleep_for(std::exchange(pause, pause * 2));
        }
    }

    Result<HttpResponse> follow(const HttpRequest& request, const Follower& follower) override {
        BALLAST_CHECK(check_tls());
        asio::io_context io;  // its own: callbacks may send() meanwhile
        return run_to_end(io, follow_once(&io, request, &follower));
    }

    Result<HttpResponse> converse(const HttpRequest& request) override {
        BALLAST_CHECK(check_tls());
        return run_console(endpoint_, trust_, tls_, request);
    }

  private:
    Result<void> check_tls() const {
        if (!tls_error_) return {};
        return fail(Code::invalid_argument, "the certificate authorities in '{}' can't be read: {}", trust_.ca_file,
                    tls_error_.message());
    }

    Error lost(const error_code& error, Milliseconds timeout) const {
        if (error == beast::error::timeout)
            return {Code::deadline_exceeded,
                    fmt::format("ballastd at {} did not answer within {}", endpoint_.url, to_string(timeout))};
        return {Code::unavailable,
                fmt::format("the connection to ballastd at {} was lost: {}", endpoint_.url, error.message())};
    }

    asio::awaitable<Result<HttpResponse>> attempt_once(HttpRequest request) {
        const Milliseconds timeout = request.timeout;
        if (!connection_) {
            BALLAST_CO_TRY(auto opened, co_await open_tls(&io_, &tls_, endpoint_, trust_, timeout));
            connection_ = std::move(opened);
            never_connected_ = false;
        }
        auto answer = co_await exchange(connection_, std::move(request), endpoint_);
        if (!answer) {
            connection_.reset();
            co_return std::unexpected(lost(answer.error().error, timeout));
        }
        if (answer->headers["connection"] == "close") connection_.reset();
        co_return *std::move(answer);
    }

    asio::awaitable<Result<HttpResponse>> follow_once(asio::io_context* io, HttpRequest request,
                                                      const Follower* follower) {
        const Milliseconds timeout = request.timeout;
        BALLAST_CO_TRY(auto opened, co_await open_tls(io, &tls_, endpoint_, trust_, timeout));
        auto reader =
            std::make_shared<StreamReader>(StreamReader{std::move(opened), std::move(request), endpoint_, follower});
        auto answer = co_await read_stream(std::move(reader));
        if (answer) co_return *std::move(answer);
        if (follower->deadline && std::chrono::steady_clock::now() >= *follower->deadline)
            co_return fail(Code::deadline_exceeded, "the time to wait is over");
        if (answer.error().error == beast::error::timeout)
            co_return fail(Code::unavailable, "the event stream of ballastd at {} fell silent", endpoint_.url);
        co_return std::unexpected(lost(answer.error().error, timeout));
    }

    Endpoint endpoint_;
    Trust trust_;
    error_code tls_error_;
    asio::ssl::context tls_;
    asio::io_context io_;
    std::shared_ptr<TlsConnection> connection_;
    bool never_connected_ = true;
};

}  // namespace

std::unique_ptr<Transport> make_transport(Endpoint endpoint, Trust trust) {
    return std::make_unique<BeastTransport>(std::move(endpoint), std::move(trust));
}

}  // namespace ballast::cli
