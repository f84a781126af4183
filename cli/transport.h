#pragma once
// The wire, as the rest of the client sees it: plain requests and answers, a stream of server-sent events, and a
// console. Nothing here knows what a VM is. Blocking; one thread. The real one is made by make_transport() (Beast
// stays in transport.cpp and console.cpp); tests bring their own.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/units.h"

namespace ballast::cli {

struct Endpoint {
    std::string url;  ///< as it was given, for messages
    std::string host;
    std::string port;
};
/// "https://name:8470". Errors: invalid_argument.
[[nodiscard]] Result<Endpoint> parse_url(std::string_view url);

/// Why the server is believed to be the one. A fingerprint ("sha256:…" of its public key or certificate) replaces
/// certificate authorities; `insecure` replaces everything by hope.
struct Trust {
    std::string ca_file;  ///< empty: the system's
    std::string fingerprint;
    bool insecure = false;
};

/// Names in lower case.
using Headers = std::map<std::string, std::string, std::less<>>;
using Moment = std::chrono::steady_clock::time_point;

struct HttpRequest {
    std::string verb = "GET";
    std::string target;
    Headers headers;
    std::string body;
    std::string body_file;  ///< sent instead of `body`
    std::function<void(std::int64_t sent, std::int64_t total)> on_sent;
    Milliseconds timeout{30'000};
    /// The same request may be sent again when the connection is lost (a GET, or one with an Idempotency-Key).
    bool repeatable = true;
};

struct HttpResponse {
    int status = 0;
    Headers headers;
    std::string body;
};

struct ServerEvent {
    std::string id;
    std::string kind;
    std::string data;
};

struct Follower {
    std::function<bool()> on_open;  ///< the stream is open: what happens from now on is seen; false ends the following
    std::function<bool(const ServerEvent&)> on_event;  ///< false ends the following
    std::optional<Moment> deadline;
};

class Transport {
  public:
    virtual ~Transport() = default;
    /// Errors: unavailable (can't connect, connection lost for good), unauthenticated (certificate not trusted),
    /// deadline_exceeded. An answer with an error status is an answer.
    virtual Result<HttpResponse> send(const HttpRequest& request) = 0;
    /// Returns when on_event says so or the server ends the stream (status 200), with the answer when it is another
    /// status, or the error: deadline_exceeded when the deadline passed, else as send().
    virtual Result<HttpResponse> follow(const HttpRequest& request, const Follower& follower) = 0;
    /// Connects file descriptors 0 and 1 to the WebSocket until Ctrl-] or until the other side ends; the terminal is
    /// restored in every case. Gives the reason of the end. An answer without upgrade is returned as `status`, `body`.
    virtual Result<HttpResponse> converse(const HttpRequest& request) = 0;
};

[[nodiscard]] std::unique_ptr<Transport> make_transport(Endpoint endpoint, Trust trust);

/// Takes the lines of an event stream apart (WHATWG HTML, "event stream interpretation").
class EventParser {
  public:
    /// Calls `on_event` for every event that `text` completes; false from it stops, and is returned.
    bool feed(std::string_view text, const std::function<bool(const ServerEvent&)>& on_event);

  private:
    bool line(std::string_view line, const std::function<bool(const ServerEvent&)>& on_event);
    std::string rest_;
    ServerEvent event_;
    bool any_data_ = false;
};

}  // namespace ballast::cli
