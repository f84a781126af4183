#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace ballast::test {

struct HttpConnection::State {
    int socket = -1;
    std::chrono::milliseconds deadline{0};
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{nullptr, SSL_CTX_free};
    std::unique_ptr<SSL, void (*)(SSL*)> ssl{nullptr, SSL_free};
    ~State() {
        ssl.reset();
        if (socket >= 0) ::close(socket);
    }
};

namespace {

[[noreturn]] void give_up(const std::string& what) {
    throw std::runtime_error("http client: " + what);
}

void wait_for(int socket, short events, std::chrono::milliseconds deadline) {
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    if (::poll(&entry, 1, static_cast<int>(deadline.count())) == 0) give_up("nothing came before the deadline");
}

int connect_to(const std::string& address, int port) {
    int socket = -1;
    int outcome = 0;
    if (address.starts_with('/')) {
        socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        std::strncpy(to.sun_path, address.c_str(), sizeof(to.sun_path) - 1);
        outcome = ::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to));
    } else {
        socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(port));
        inet_pton(AF_INET, address.c_str(), &to.sin_addr);
        outcome = ::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to));
    }
    if (outcome != 0) give_up(fmt::format("connecting to {}:{}: {}", address, port, std::strerror(errno)));
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
    return socket;
}

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

}  // namespace

HttpConnection::HttpConnection(const std::string& address, int port, bool tls, Deadline deadline)
    : state_(std::make_unique<State>()) {
    std::signal(SIGPIPE, SIG_IGN);
    state_->socket = connect_to(address, port);
    state_->deadline = deadline;
    if (!tls) return;
    state_->context.reset(SSL_CTX_new(TLS_client_method()));
    state_->ssl.reset(SSL_new(state_->context.get()));
    SSL_set_fd(state_->ssl.get(), state_->socket);
    while (true) {
        const int done = SSL_connect(state_->ssl.get());
        if (done == 1) return;
        const int error = SSL_get_error(state_->ssl.get(), done);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) give_up("the TLS handshake failed");
        wait_for(state_->socket, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
    }
}

HttpConnection::~HttpConnection() = default;

void HttpConnection::send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
        std::ptrdiff_t sent = 0;
        short wait = 0;
        if (state_->ssl) {
            sent = SSL_write(state_->ssl.get(), bytes.data(),
                             static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
            const int error = sent > 0 ? SSL_ERROR_NONE : SSL_get_error(state_->ssl.get(), static_cast<int>(sent));
            if (error == SSL_ERROR_WANT_READ) wait = POLLIN;
            if (error == SSL_ERROR_WANT_WRITE) wait = POLLOUT;
        } else {
            sent = ::send(state_->socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) wait = POLLOUT;
        }
        if (sent > 0)
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        else if (wait != 0)
            wait_for(state_->socket, wait, state_->deadline);
        else
            give_up("the peer closed while it was sent to");
    }
}

/// False at the end.
bool HttpConnection::fill() {
    std::array<char, 65536> piece{};
    while (true) {
        std::ptrdiff_t got = 0;
        bool again = false;
        if (state_->ssl) {
            got = SSL_read(state_->ssl.get(), piece.data(), static_cast<int>(piece.size()));
            const int error = got > 0 ? SSL_ERROR_NONE : SSL_get_error(state_->ssl.get(), static_cast<int>(got));
            again = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
        } else {
            got = ::recv(state_->socket, piece.data(), piece.size(), 0);
            again = got < 0 && errno == EAGAIN;
        }
        if (got > 0) {
            buffer_.append(piece.data(), static_cast<std::size_t>(got));
            return true;
        }
        if (!again) return false;
        wait_for(state_->socket, POLLIN, state_->deadline);
    }
}

std::string HttpConnection::read_until(std::string_view end) {
    std::size_t from = 0;
    while (true) {
        if (const auto at = buffer_.find(end, from); at != std::string::npos) {
            std::string text = buffer_.substr(0, at + end.size());
            buffer_.erase(0, text.size());
            return text;
        }
        from = buffer_.size() > end.size() ? buffer_.size() - end.size() : 0;
        if (!fill()) give_up("the peer closed in the middle of an answer");
    }
}

std::string HttpConnection::read_exactly(std::size_t size) {
    while (buffer_.size() < size)
        if (!fill()) give_up("the peer closed in the middle of a body");
    std::string text = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return text;
}

HttpAnswer HttpConnection::read_answer(bool head_only) {
    HttpAnswer answer;
    std::string head = read_until("\r\n\r\n");
    answer.status = std::stoi(head.substr(9, 3));
    std::size_t at = head.find("\r\n") + 2;
    while (head.compare(at, 2, "\r\n") != 0) {
        const auto end = head.find("\r\n", at);
        const auto colon = head.find(':', at);
        answer.headers[lower(head.substr(at, colon - at))] = head.substr(colon + 2, end - colon - 2);
        at = end + 2;
    }
    if (head_only || answer.status < 200) return answer;
    if (const auto length = answer.header("content-length"); !length.empty())
        answer.body = read_exactly(std::stoul(length));
    return answer;
}

bool HttpConnection::closed_by_peer() {
    try {
        while (fill()) buffer_.clear();
        return true;
    } catch (const std::runtime_error&) {
        return false;
    }
}

std::string HttpConnection::peer_key_fingerprint() const {
    X509* certificate = SSL_get1_peer_certificate(state_->ssl.get());
    EVP_PKEY* key = X509_get_pubkey(certificate);
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key, &der);
    std::array<unsigned char, 32> digest{};
    EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    X509_free(certificate);
    std::string text = "sha256:";
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
}

std::unique_ptr<HttpConnection> HttpClient::connect() const {
    return std::make_unique<HttpConnection>(address_, port_, tls_);
}

std::string HttpClient::text(const std::string& method, const std::string& path, const std::string& body,
                             const Headers& headers) const {
    std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", method, path);
    if (!token_.empty()) text += fmt::format("Authorization: Bearer {}\r\n", token_);
    for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
    const bool typed = headers.contains("Content-Type");
    if (!body.empty() && !typed) text += "Content-Type: application/json\r\n";
    if (!body.empty() || method == "POST" || method == "PUT")
        text += fmt::format("Content-Length: {}\r\n", body.size());
    return text + "\r\n" + body;
}

HttpAnswer HttpClient::request(const std::string& method, const std::string& path, std::string body, Headers headers) {
    const auto connection = connect();
    connection->send_raw(text(method, path, body, headers));
    return connection->read_answer(method == "HEAD");
}

EventStream::EventStream(const HttpClient& client, const std::string& path, HttpClient::Headers headers)
    : connection_(client.connect()) {
    headers["Accept"] = "text/event-stream";
    connection_->send_raw(client.text("GET", path, "", headers));
    answer_ = connection_->read_answer(true);
}

std::string EventStream::next_block() {
    return connection_->read_until("\n\n");
}

SseEvent EventStream::next() {
    while (true) {
        const std::string block = next_block();
        SseEvent event;
        std::size_t at = 0;
        while (at < block.size()) {
            const auto end = block.find('\n', at);
            const std::string line = block.substr(at, end - at);
            if (line.starts_with("id: ")) event.id = line.substr(4);
            if (line.starts_with("event: ")) event.event = line.substr(7);
            if (line.starts_with("data: ")) event.data += line.substr(6);
            at = end + 1;
        }
        if (!event.data.empty()) return event;
    }
}

}  // namespace ballast::test
