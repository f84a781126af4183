#include "daemon/api/connection.h"

#include <array>
#include <charconv>
#include <chrono>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/api/crypto.h"
#include "daemon/api/metrics.h"
#include "daemon/api/pool.h"
#include "daemon/api/problem.h"
#include "daemon/api/upload.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Parser = http::request_parser<http::buffer_body>;
using SteadyClock = std::chrono::steady_clock;
constexpr std::size_t read_size = 64 * 1024;
constexpr std::size_t write_size = 256 * 1024;
constexpr Bytes drained = kibibytes(64);  ///< of an unwanted body, so that the client reads the answer before it is cut

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// What HTTP itself refuses, with its own status.
struct Refusal {
    int status;
    Error error;
};

class HttpConnection final : public Connection, public Stream, public std::enable_shared_from_this<HttpConnection> {
  public:
    HttpConnection(std::shared_ptr<Transport> transport, std::shared_ptr<Router> router, ContextPtr context,
                   std::function<void(Connection*)> gone)
        : transport_(std::move(transport)),
          router_(std::move(router)),
          context_(std::move(context)),
          gone_(std::move(gone)),
          timer_(context_->loop),
          given_up_(context_->loop, SteadyClock::time_point::max()) {}

    void start() {
        auto self = shared_from_this();
        asio::co_spawn(
            context_->loop, serve(self),
            asio::bind_cancellation_slot(cancel_.slot(), [self](std::exception_ptr problem) { self->ended(problem); }));
    }

    void finish() override {
        stopping_ = true;
        if (idle_) transport_->close();
        if (wake_) std::exchange(wake_, nullptr)();
    }

    void abort() override {
        finish();
        transport_->close();
        if (websocket_) websocket_->abort();
        cancel_.emit(asio::cancellation_type::terminal);
    }

    // Stream
    Task<> write(std::string text) override {
        if (closed_) co_return fail(Code::unavailable, "the connection ended");
        auto sent = co_await send(std::move(text));
        co_return sent;
    }
    [[nodiscard]] bool stopping() const override { return stopping_ || closed_; }
    void on_stop(std::function<void()> wake) override {
        if (stopping())
            wake();
        else
            wake_ = std::move(wake);
    }

  private:
    static asio::awaitable<void> serve(std::shared_ptr<HttpConnection> self) {
        self->arm(self->context_->limits.header_timeout);
        const auto greeted = co_await self->transport_->handshake();
        if (!greeted) co_return;
        while (!self->stopping_) {
            const bool again = co_await self->serve_one();
            if (!again) break;
        }
        self->arm(self->stopping_ ? Milliseconds(250) : Milliseconds(2000));  // the peer may say good-bye, too
        static_cast<void>(co_await self->transport_->finish());
    }

    void ended(std::exception_ptr problem) {
        closed_ = true;
        timer_.cancel();
        transport_->close();
        if (wake_) std::exchange(wake_, nullptr)();
        try {
            if (problem) std::rethrow_exception(problem);
        } catch (const boost::system::system_error&) {
            // cancelled at the end of the server
        } catch (const std::exception& error) {
            spdlog::error("a connection from {} ended by an exception: {}", transport_->peer(), error.what());
        }
        gone_(this);
    }

    /// From now on the connection has this long until it is closed.
    void arm(Milliseconds time) {
        timer_.expires_after(time);
        timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
            const auto self = weak.lock();
            if (error || !self || SteadyClock::now() < self->timer_.expiry()) return;
            self->timed_out_ = true;
            self->transport_->close();
            if (self->websocket_) self->websocket_->abort();
            if (self->wake_) std::exchange(self->wake_, nullptr)();
        });
    }
    /// From now on the handler has its time; then the client hears so, while the handler goes on.
    void arm_handler(const Request& request);
    static asio::awaitable<void> give_up(std::shared_ptr<HttpConnection> self, Verb verb, std::string id);
    void disarm() { timer_.expires_at(SteadyClock::time_point::max()); }

    /// Whether another request may follow.
    asio::awaitable<bool> serve_one();
    asio::awaitable<std::optional<Refusal>> read_header(Parser* parser);
    asio::awaitable<bool> answer_refusal(Refusal refusal);
    asio::awaitable<bool> serve_admitted(const Route* route, Request request, Parser* parser);
    asio::awaitable<bool> answer(const Route* route, Request request, Response response, bool keep_alive);
    asio::awaitable<bool> upgrade(Request request, Response response);
    asio::awaitable<std::optional<Response>> receive(const Route* route, Request* request, Parser* parser);
    Task<> read_into_memory(Request* request, Parser* parser);
    Task<> read_into_file(Request* request, Parser* parser);
    Task<std::size_t> read_piece(Parser* parser, char* into, std::size_t size);
    asio::awaitable<bool> drain(Parser* parser);
    Task<> fill();
    Task<> send(std::string text);
    Task<> send_response(const Request& request, std::shared_ptr<Response> response, bool keep_alive);

    std::shared_ptr<Transport> transport_;
    std::shared_ptr<Router> router_;
    ContextPtr context_;
    std::function<void(Connection*)> gone_;
    asio::steady_timer timer_;
    asio::steady_timer given_up_;  ///< expires when the client of an overdue handler has its answer
    asio::cancellation_signal cancel_;
    boost::beast::flat_buffer buffer_;
    std::shared_ptr<WebSocket> websocket_;
    std::function<void()> wake_;
    SteadyClock::time_point started_;
    bool idle_ = true;  ///< nothing of a request has come yet; so also during the handshake
    bool stopping_ = false;
    bool closed_ = false;
    bool timed_out_ = false;
};

Task<> HttpConnection::fill() {
    const auto space = buffer_.prepare(read_size);
    const auto got = co_await transport_->read_some(space);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::unavailable, "the client closed the connection");
    buffer_.commit(*got);
    co_return Result<void>{};
}

/// Nothing: the header is complete. A refusal of status 0: close without an answer.
asio::awaitable<std::optional<Refusal>> HttpConnection::read_header(Parser* parser) {
    const auto silent = Refusal{0, Error(Code::unavailable, "the client is gone")};
    boost::system::error_code error;
    idle_ = buffer_.size() == 0;
    arm(idle_ ? context_->limits.idle_timeout : context_->limits.header_timeout);
    while (!parser->is_header_done()) {
        if (buffer_.size() == 0 || error == http::error::need_more) {
            const bool first = buffer_.size() == 0;
            const auto filled = co_await fill();
            if (!filled) co_return silent;
            if (idle_ && first) arm(context_->limits.header_timeout);
            idle_ = false;
        }
        error = {};
        buffer_.consume(parser->put(buffer_.data(), error));
        if (error == http::error::header_limit)
            co_return Refusal{431, Error(Code::invalid_argument,
                                         fmt::format("the header is larger than {}", context_->limits.header))};
        if (error == http::error::bad_version)
            co_return Refusal{505, Error(Code::invalid_argument, "this server speaks HTTP/1.1")};
        if (error && error != http::error::need_more)
            co_return Refusal{400, Error(Code::invalid_argument, fmt::format("this is not HTTP: {}", error.message()))};
    }
    idle_ = false;
    co_return std::nullopt;
}

/// The values of the header; a header field that is given twice is joined, as RFC 9110 has it.
Result<Request> read_request(const Parser& parser, const Limits& limits) {
    const auto& message = parser.get();
    Request request;
    request.verb = parse_verb(std::string_view(message.method_string()));
    int count = 0;
    for (const auto& field : message) {
        if (++count > limits.header_count)
            return fail(Code::invalid_argument, "the header has more than {} fields", limits.header_count);
        std::string& value = request.headers[lower(std::string_view(field.name_string()))];
        if (!value.empty()) value += ", ";
        value += std::string_view(field.value());
    }
    const std::string_view target(message.target());
    if (!target.starts_with('/'))
        return fail(Code::invalid_argument, "the target '{}' is not a path", target.substr(0, 80));
    const auto question = target.find('?');
    request.path = target.substr(0, question);
    if (question != std::string_view::npos) {
        BALLAST_TRY(request.query, parse_query(target.substr(question + 1)));
    }
    return request;
}

asio::awaitable<bool> HttpConnection::serve_one() {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(context_->limits.header.count()));
    parser.body_limit(boost::none);  // our own limits are per route
    parser.eager(false);
    const auto refusal = co_await read_header(&parser);
    if (refusal && refusal->status == 0) co_return false;
    if (refusal) {
        const bool again = co_await answer_refusal(*refusal);
        co_return again;
    }
    started_ = SteadyClock::now();
    auto request = read_request(parser, context_->limits);
    if (!request) {
        const int status = request.error().message().find("fields") != std::string::npos ? 431 : 400;
        const bool again = co_await answer_refusal({status, request.error()});
        co_return again;
    }
    request->peer = transport_->peer();
    request->id = base64url(random_bytes(9));
    auto admitted = router_->admit(*request);
    if (const auto* route = std::get_if<const Route*>(&admitted)) {
        const bool again = co_await serve_admitted(*route, *std::move(request), &parser);
        co_return again;
    }
    const bool whole = co_await drain(&parser);
    const bool again = co_await answer(nullptr, *std::move(request), std::get<Response>(std::move(admitted)),
                                       whole && parser.keep_alive());
    co_return again;
}

asio::awaitable<bool> HttpConnection::answer_refusal(Refusal refusal) {
    Request request;
    request.id = base64url(random_bytes(9));
    auto response =
        std::make_shared<Response>(problem(refusal.error, {.status = refusal.status, .instance = request.id}));
    static_cast<void>(co_await send_response(request, response, false));
    co_return false;
}

asio::awaitable<bool> HttpConnection::serve_admitted(const Route* route, Request request, Parser* parser) {
    const bool keep_alive = parser->keep_alive();
    if (route->websocket) {
        arm(context_->limits.request_timeout);
        auto response = co_await router_->handle(route, request);
        if (response.upgrade) {
            const bool again = co_await upgrade(std::move(request), std::move(response));
            co_return again;
        }
        const bool again = co_await answer(route, std::move(request), std::move(response), false);
        co_return again;
    }
    auto refused = co_await receive(route, &request, parser);
    if (refused) {
        const bool whole = co_await drain(parser);
        const bool again = co_await answer(route, std::move(request), *std::move(refused), whole && keep_alive);
        co_return again;
    }
    if (timed_out_) co_return false;
    arm_handler(request);
    auto response = co_await router_->handle(route, request);
    if (timed_out_) {
        boost::system::error_code over;
        co_await given_up_.async_wait(asio::redirect_error(asio::use_awaitable, over));
        co_return false;
    }
    const bool again = co_await answer(route, std::move(request), std::move(response), keep_alive && !stopping_);
    co_return again;
}

void HttpConnection::arm_handler(const Request& request) {
    timer_.expires_after(context_->limits.request_timeout);
    timer_.async_wait([weak = weak_from_this(), verb = request.verb, id = request.id](const auto& error) {
        const auto self = weak.lock();
        if (error || !self || SteadyClock::now() < self->timer_.expiry()) return;
        self->timed_out_ = true;
        asio::co_spawn(self->context_->loop, give_up(self, verb, id), asio::detached);
    });
}

asio::awaitable<void> HttpConnection::give_up(std::shared_ptr<HttpConnection> self, Verb verb, std::string id) {
    Request request;
    request.verb = verb;
    request.id = id;
    const Error late(
        Code::deadline_exceeded,
        fmt::format("request {} was not done within {}; it goes on, so look at what it was to change before "
                    "you repeat it",
                    id, to_string(self->context_->limits.request_timeout)));
    auto response = std::make_shared<Response>(problem(late, {.instance = id}));
    self->context_->metrics->count_request("late", name_of(verb), response->status, 0);
    static_cast<void>(co_await self->send_response(request, response, false));
    self->arm(Milliseconds(2000));
    static_cast<void>(co_await self->transport_->finish());
    self->transport_->close();
    self->given_up_.expires_at(SteadyClock::time_point::min());
}

/// The body, into memory or a file. An answer where that is refused; a client that went away gives an answer too, that
/// nobody reads.
asio::awaitable<std::optional<Response>> HttpConnection::receive(const Route* route, Request* request, Parser* parser) {
    const auto length = parser->content_length();
    const bool has_body = parser->chunked() || (length && *length > 0);
    const auto limit = context_->limits.body;
    if (has_body && route->takes != Takes::file && length && *length > static_cast<std::uint64_t>(limit.count()))
        co_return problem(
            Error(Code::invalid_argument, fmt::format("the body has {} bytes; the limit is {}", *length, limit)),
            {.status = 413, .instance = request->id});
    if (route->before_body)
        if (const auto allowed = route->before_body(*request, *context_); !allowed)
            co_return problem(allowed.error(), {.instance = request->id});
    arm(context_->limits.body_timeout);
    if (has_body && lower(request->header("expect")) == "100-continue") {
        const auto sent = co_await send("HTTP/1.1 100 Continue\r\n\r\n");
        if (!sent) co_return problem(sent.error());
        arm(context_->limits.body_timeout);
    }
    Result<void> received{};
    if (route->takes == Takes::file)
        received = co_await read_into_file(request, parser);
    else
        received = co_await read_into_memory(request, parser);
    if (received) co_return std::nullopt;
    const bool too_large = route->takes != Takes::file && received.error().code() == Code::resource_exhausted;
    co_return problem(received.error(), {.status = too_large ? 413 : 0, .instance = request->id});
}

/// Up to `size` bytes of the body; 0 at its end.
Task<std::size_t> HttpConnection::read_piece(Parser* parser, char* into, std::size_t size) {
    parser->eager(true);
    boost::system::error_code error;
    while (!parser->is_done()) {
        if (buffer_.size() == 0 || error == http::error::need_more) BALLAST_CO_CHECK(co_await fill());
        auto& body = parser->get().body();
        body.data = into;
        body.size = size;
        body.more = true;
        error = {};
        buffer_.consume(parser->put(buffer_.data(), error));
        if (error && error != http::error::need_buffer && error != http::error::need_more)
            co_return fail(Code::invalid_argument, "the body is not HTTP: {}", error.message());
        if (const std::size_t got = size - body.size; got > 0) co_return got;
    }
    co_return std::size_t{0};
}

Task<> HttpConnection::read_into_memory(Request* request, Parser* parser) {
    const auto limit = static_cast<std::size_t>(context_->limits.body.count());
    std::string piece(16 * 1024, '\0');
    while (!parser->is_done()) {
        BALLAST_CO_TRY(const auto got, co_await read_piece(parser, piece.data(), piece.size()));
        if (request->body.size() + got > limit)
            co_return fail(Code::resource_exhausted, "the body is larger than the limit of {}", context_->limits.body);
        request->body.append(piece, 0, got);
    }
    co_return Result<void>{};
}

/// PUT …/uploads/{name} or POST …/uploads?name=.
std::string upload_name(const Request& request) {
    const auto name = request.param("name");
    return std::string(name.empty() ? request.query_or("name", "") : name);
}

Task<> HttpConnection::read_into_file(Request* request, Parser* parser) {
    std::optional<Bytes> length;
    if (const auto given = parser->content_length()) length = Bytes(static_cast<std::int64_t>(*given));
    const UploadLimits limits{context_->limits.upload, context_->limits.upload_disk_reserve};
    BALLAST_CO_TRY(std::shared_ptr<UploadFile> file,
                   UploadFile::open(context_->upload_folder, upload_name(*request), length, limits));
    const auto piece = std::make_shared<std::string>(write_size, '\0');
    while (!parser->is_done()) {
        arm(context_->limits.body_timeout);
        BALLAST_CO_TRY(const auto got, co_await read_piece(parser, piece->data(), piece->size()));
        auto add = [file, piece, got] { return file->add({piece->data(), got}); };
        BALLAST_CO_CHECK(co_await on_pool<void>(context_->cpu, std::move(add)));
    }
    BALLAST_CO_TRY(request->file,
                   co_await on_pool<ReceivedFile>(context_->cpu, [file] { return UploadFile::finish(file); }));
    co_return Result<void>{};
}

/// Reads what is left of an unwanted body, if that is little. Whether it was all.
asio::awaitable<bool> HttpConnection::drain(Parser* parser) {
    std::string piece(16 * 1024, '\0');
    std::int64_t left = drained.count();
    const auto length = parser->content_length();
    if (parser->is_done()) co_return true;
    if (length && *length > static_cast<std::uint64_t>(left)) co_return false;
    arm(context_->limits.body_timeout);
    while (!parser->is_done() && left > 0) {
        const auto got = co_await read_piece(parser, piece.data(), piece.size());
        if (!got) co_return false;
        left -= static_cast<std::int64_t>(*got);
    }
    co_return parser->is_done();
}

Task<> HttpConnection::send(std::string text) {
    for (std::size_t at = 0; at < text.size(); at += write_size) {
        arm(context_->limits.write_timeout);
        const auto piece = asio::buffer(text.data() + at, std::min(write_size, text.size() - at));
        BALLAST_CO_CHECK(co_await transport_->write(piece));
    }
    disarm();
    co_return Result<void>{};
}

Task<> HttpConnection::send_response(const Request& request, std::shared_ptr<Response> response, bool keep_alive) {
    std::string head = head_of(request, *response, keep_alive);
    const bool with_body =
        response->body && request.verb != Verb::head && response->status != 204 && response->status != 304;
    // One write, one TLS record where it fits; a large body is copied once, which costs less than a second record.
    if (with_body) head += *response->body;
    auto sent = send(std::move(head));
    return sent;
}

asio::awaitable<bool> HttpConnection::answer(const Route* route, Request request, Response response, bool keep_alive) {
    const std::chrono::duration<double> took = SteadyClock::now() - started_;
    context_->metrics->count_request(route != nullptr ? route->id : "none", name_of(request.verb), response.status,
                                     took.count());
    const auto shared = std::make_shared<Response>(std::move(response));
    const auto sent = co_await send_response(request, shared, keep_alive);
    if (!sent || request.verb == Verb::head) co_return sent&& keep_alive;
    if (!shared->stream) co_return keep_alive;
    auto stream = shared->stream;
    const auto streamed = co_await stream(shared_from_this());
    if (!streamed) spdlog::debug("a stream to {} ended: {}", request.peer, streamed.error().message());
    co_return false;
}

asio::awaitable<bool> HttpConnection::upgrade(Request request, Response response) {
    context_->metrics->count_request(request.operation, name_of(request.verb), 101, 0);
    auto accepted = co_await transport_->accept_websocket(request);
    if (!accepted) co_return false;
    websocket_ = *std::move(accepted);
    disarm();
    on_stop([weak = std::weak_ptr(websocket_)] {
        if (const auto socket = weak.lock()) socket->abort();
    });
    auto run = response.upgrade;
    const auto ran = co_await run(websocket_);
    if (!ran) spdlog::debug("a WebSocket of {} ended: {}", request.peer, ran.error().message());
    co_return false;
}

}  // namespace

std::shared_ptr<Connection> start_connection(std::shared_ptr<Transport> transport, std::shared_ptr<Router> router,
                                             ContextPtr context, std::function<void(Connection*)> gone) {
    auto connection =
        std::make_shared<HttpConnection>(std::move(transport), std::move(router), std::move(context), std::move(gone));
    connection->start();
    return connection;
}

}  // namespace ballast::api
