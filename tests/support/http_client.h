#pragma once
// A small blocking HTTPS client for tests: OpenSSL on a plain socket, so that it shares no code with the server it
// tests, and can misbehave (send slowly, stop half-way, send garbage). Every read has a deadline; nothing hangs.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ballast::test {

struct HttpAnswer {
    int status = 0;
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
    [[nodiscard]] std::string header(const std::string& name) const {
        const auto at = headers.find(name);
        return at == headers.end() ? "" : at->second;
    }
};

/// One connection. Throws std::runtime_error when it can't do what it is asked.
class HttpConnection {
  public:
    using Deadline = std::chrono::milliseconds;
    HttpConnection(const std::string& address, int port, bool tls = true, Deadline deadline = Deadline(10'000));
    ~HttpConnection();
    HttpConnection(const HttpConnection&) = delete;
    HttpConnection& operator=(const HttpConnection&) = delete;

    void send_raw(std::string_view bytes);
    /// A whole answer with its body.
    HttpAnswer read_answer(bool head_only = false);
    /// Up to and including `end`; throws when the peer closes before.
    std::string read_until(std::string_view end);
    std::string read_exactly(std::size_t size);
    /// Whether the peer closes within the deadline.
    bool closed_by_peer();
    /// The SHA-256 of the peer's public key, as `sha256:<hex>`.
    [[nodiscard]] std::string peer_key_fingerprint() const;

  private:
    bool fill();
    struct State;
    std::unique_ptr<State> state_;
    std::string buffer_;
};

/// Requests against one server, each on a new connection unless said otherwise.
class HttpClient {
  public:
    HttpClient(std::string address, int port, std::string token, bool tls = true)
        : address_(std::move(address)), port_(port), token_(std::move(token)), tls_(tls) {}

    using Headers = std::map<std::string, std::string>;
    HttpAnswer request(const std::string& method, const std::string& path, std::string body = "", Headers headers = {});
    HttpAnswer get(const std::string& path, Headers headers = {}) {
        return request("GET", path, "", std::move(headers));
    }
    HttpAnswer post(const std::string& path, std::string body, Headers headers = {}) {
        return request("POST", path, std::move(body), std::move(headers));
    }
    HttpAnswer patch(const std::string& path, std::string body, Headers headers = {}) {
        return request("PATCH", path, std::move(body), std::move(headers));
    }
    HttpAnswer put(const std::string& path, std::string body, Headers headers = {}) {
        return request("PUT", path, std::move(body), std::move(headers));
    }
    HttpAnswer del(const std::string& path, Headers headers = {}) {
        return request("DELETE", path, "", std::move(headers));
    }

    [[nodiscard]] std::unique_ptr<HttpConnection> connect() const;
    /// The text of a request, for connections of one's own.
    [[nodiscard]] std::string text(const std::string& method, const std::string& path, const std::string& body = "",
                                   const Headers& headers = {}) const;
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] HttpClient with_token(std::string token) const { return {address_, port_, std::move(token), tls_}; }

  private:
    std::string address_;
    int port_;
    std::string token_;
    bool tls_;
};

/// Server-Sent Events, one by one.
struct SseEvent {
    std::string id;
    std::string event;
    std::string data;
};
class EventStream {
  public:
    EventStream(const HttpClient& client, const std::string& path, HttpClient::Headers headers = {});
    /// The next event that is not a comment.
    SseEvent next();
    /// The next line as it is, for comments.
    std::string next_block();
    [[nodiscard]] const HttpAnswer& answer() const { return answer_; }
    HttpConnection& connection() { return *connection_; }

  private:
    std::unique_ptr<HttpConnection> connection_;
    HttpAnswer answer_;
};

}  // namespace ballast::test
