#include "cli/tls_stream.h"

#include <array>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/try.h"

namespace ballast::cli {
namespace {

std::string sha256_of(const std::vector<unsigned char>& bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
    std::string text = "sha256:";
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

std::string key_fingerprint(X509* certificate) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0) return {};
    const std::vector<unsigned char> bytes(der, der + size);
    OPENSSL_free(der);
    return sha256_of(bytes);
}

std::string certificate_fingerprint(X509* certificate) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    if (size <= 0) return {};
    const std::vector<unsigned char> bytes(der, der + size);
    OPENSSL_free(der);
    return sha256_of(bytes);
}

/// "AB:CD…" and "sha256:abcd…" are the same fingerprint.
std::string normalized(std::string_view fingerprint) {
    std::string text;
    for (const char c : fingerprint)
        if (c != ':' && c != ' ') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (text.starts_with("sha256")) text.erase(0, 6);
    return text;
}

bool matches(X509* certificate, std::string_view pin) {
    const std::string wanted = normalized(pin);
    return wanted == normalized(key_fingerprint(certificate)) ||
           wanted == normalized(certificate_fingerprint(certificate));
}

Result<void> check_pin(TlsConnection& connection, const Endpoint& endpoint, const Trust& trust) {
    if (trust.fingerprint.empty() || trust.insecure) return {};
    const std::unique_ptr<X509, void (*)(X509*)> shown(SSL_get1_peer_certificate(connection.stream.native_handle()),
                                                       X509_free);
    if (shown && matches(shown.get(), trust.fingerprint)) return {};
    return fail(Code::unauthenticated, "{} shows another key than the pinned {}: it shows {}", endpoint.url,
                trust.fingerprint, shown ? key_fingerprint(shown.get()) : "none");
}

Error cant_connect(const Endpoint& endpoint, const error_code& error) {
    if (error == beast::error::timeout || error == asio::error::timed_out)
        return {Code::unavailable, fmt::format("can't connect to ballastd at {}: it does not answer", endpoint.url)};
    return {Code::unavailable, fmt::format("can't connect to ballastd at {}: {}", endpoint.url, error.message())};
}

void demand_trust(const std::shared_ptr<TlsConnection>& connection, const Endpoint& endpoint, const Trust& trust) {
    if (trust.insecure || !trust.fingerprint.empty()) {
        connection->stream.set_verify_mode(asio::ssl::verify_none);
        return;
    }
    connection->stream.set_verify_mode(asio::ssl::verify_peer);
    TlsConnection* raw = connection.get();
    connection->stream.set_verify_callback(
        [raw, name = asio::ssl::host_name_verification(endpoint.host)](bool good, asio::ssl::verify_context& context) {
            if (X509* leaf = X509_STORE_CTX_get0_cert(context.native_handle()))
                raw->seen_fingerprint = key_fingerprint(leaf);
            return name(good, context);
        });
}

}  // namespace

Result<Endpoint> parse_url(std::string_view url) {
    constexpr std::string_view scheme = "https://";
    if (!url.starts_with(scheme))
        return fail(Code::invalid_argument, "'{}' is no address of ballastd: write https://name:8470", url);
    std::string_view rest = url.substr(scheme.size());
    while (rest.ends_with('/')) rest.remove_suffix(1);
    Endpoint endpoint{.url = std::string(url), .host = {}, .port = "8470"};
    const auto bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
    const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
    std::string_view host = rest.substr(0, colon);
    if (bracket != std::string_view::npos) host = rest.substr(1, bracket - 1);
    endpoint.host = host;
    if (colon != std::string_view::npos) endpoint.port = rest.substr(colon + 1);
    const bool port_good = !endpoint.port.empty() && endpoint.port.size() <= 5 &&
                           endpoint.port.find_first_not_of("0123456789") == std::string::npos;
    if (endpoint.host.empty() || !port_good || rest.find('/') != std::string_view::npos)
        return fail(Code::invalid_argument, "'{}' is no address of ballastd: write https://name:8470", url);
    return endpoint;
}

asio::ssl::context make_tls_context(const Trust& trust, error_code& error) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    if (!trust.ca_file.empty())
        context.load_verify_file(trust.ca_file, error);
    else
        context.set_default_verify_paths(error);
    return context;
}

asio::awaitable<Result<std::shared_ptr<TlsConnection>>> open_tls(asio::io_context* io, asio::ssl::context* context,
                                                                 Endpoint endpoint, Trust trust, Milliseconds timeout) {
    auto connection = std::make_shared<TlsConnection>(*io, *context);
    asio::ip::tcp::resolver resolver(*io);
    auto [no_name, addresses] = co_await resolver.async_resolve(endpoint.host, endpoint.port, as_result);
    if (no_name) co_return std::unexpected(cant_connect(endpoint, no_name));
    auto& tcp = beast::get_lowest_layer(connection->stream);
    tcp.expires_after(std::min(timeout, Milliseconds(10'000)));
    auto [refused, address] = co_await tcp.async_connect(addresses, as_result);
    if (refused) co_return std::unexpected(cant_connect(endpoint, refused));
    error_code ignored;
    tcp.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    error_code is_name;
    asio::ip::make_address(endpoint.host, is_name);
    if (is_name) SSL_set_tlsext_host_name(connection->stream.native_handle(), endpoint.host.c_str());
    demand_trust(connection, endpoint, trust);
    auto [bad] = co_await connection->stream.async_handshake(asio::ssl::stream_base::client, as_result);
    if (bad && !connection->seen_fingerprint.empty() && bad.category() == asio::error::get_ssl_category())
        co_return fail(Code::unauthenticated, "the certificate of {} is not trusted ({}); its key is {}", endpoint.url,
                       bad.message(), connection->seen_fingerprint);
    if (bad) co_return std::unexpected(cant_connect(endpoint, bad));
    BALLAST_CO_CHECK(check_pin(*connection, endpoint, trust));
    co_return connection;
}

}  // namespace ballast::cli
