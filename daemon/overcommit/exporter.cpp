#include "daemon/overcommit/exporter.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "core/try.h"

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::uint64_t largest_answer = std::uint64_t{8} << 20U;
constexpr unsigned int http_1_1 = 11;

/// The body of a 200.
asio::awaitable<Result<std::string>> fetch(ExporterUrl url, Milliseconds within) {
    boost::system::error_code error;
    const auto token = [&error] { return asio::redirect_error(asio::use_awaitable, error); };
    asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
    beast::tcp_stream stream(co_await asio::this_coro::executor);
    stream.expires_after(within);
    const auto addresses = co_await resolver.async_resolve(url.host, url.port, token());
    if (error) co_return fail(Code::unavailable, "its name can't be resolved ({})", error.message());
    co_await stream.async_connect(addresses, token());
    if (error) co_return fail(Code::unavailable, "it can't be reached ({})", error.message());
    http::request<http::empty_body> request(http::verb::get, url.path, http_1_1);
    request.set(http::field::host, url.host);
    request.set(http::field::user_agent, "ballastd");
    request.set(http::field::connection, "close");
    co_await http::async_write(stream, request, token());
    if (error) co_return fail(Code::unavailable, "it did not take the request ({})", error.message());
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(largest_answer);
    co_await http::async_read(stream, buffer, parser, token());
    if (error) co_return fail(Code::unavailable, "it gave no whole answer ({})", error.message());
    if (parser.get().result() != http::status::ok)
        co_return fail(Code::unavailable, "it answered {}", parser.get().result_int());
    co_return std::move(parser.get().body());
}

}  // namespace

Result<ExporterUrl> parse_exporter_url(std::string_view url) {
    constexpr std::string_view scheme = "http://";
    const auto wrong = [url](std::string_view why) {
        return fail(Code::invalid_argument, "exporter: '{}' {}; it is http://host[:port][/path]", url, why);
    };
    if (!url.starts_with(scheme)) return wrong("does not begin with http://");
    std::string_view rest = url.substr(scheme.size());
    if (rest.find_first_of(" \t\r\n@?#") != std::string_view::npos) return wrong("has a character that it can't have");
    ExporterUrl parsed{.host = {}, .port = "9100", .path = "/metrics"};
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
        if (slash + 1 < rest.size()) parsed.path = rest.substr(slash);
        rest = rest.substr(0, slash);
    }
    const bool bracketed = rest.starts_with('[');
    const auto colon = bracketed ? rest.find("]:") : rest.rfind(':');
    if (colon != std::string_view::npos) {
        const std::string_view port = rest.substr(colon + (bracketed ? 2 : 1));
        const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == port.npos;
        if (!digits || std::stoi(std::string(port)) < 1 || std::stoi(std::string(port)) > 65'535)
            return wrong("has no port between 1 and 65535");
        parsed.port = port;
        rest = rest.substr(0, colon + (bracketed ? 1 : 0));
    }
    if (bracketed && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
    if (rest.empty()) return wrong("names no host");
    parsed.host = rest;
    return parsed;
}

asio::awaitable<Result<ExporterReading>> scrape(std::string url, Milliseconds within) {
    BALLAST_CO_TRY(const auto parsed, parse_exporter_url(url));
    const auto body = co_await fetch(parsed, within);
    if (!body) co_return std::unexpected(while_doing(body.error(), "the exporter {} says nothing", url));
    auto reading = read_exporter_text(*body);
    if (!reading) co_return std::unexpected(while_doing(reading.error(), "the exporter {} can't be read", url));
    co_return reading;
}

}  // namespace ballast::overcommit
