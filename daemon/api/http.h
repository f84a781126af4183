#pragma once
// HTTP as the routes see it: plain values. No Beast, no socket: those stay in transport.cpp, connection.cpp and
// websocket.cpp (ARCHITECTURE.md 2: Beast costs 12 to 19 s a file). Loop thread only.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "core/error.h"
#include "core/ids.h"
#include "core/job.h"
#include "core/units.h"

namespace ballast::api {

template <class T = void>
using Task = boost::asio::awaitable<Result<T>>;

enum class Verb : std::uint8_t { get, head, post, put, patch, delete_, other };
[[nodiscard]] std::string_view name_of(Verb verb);
[[nodiscard]] Verb parse_verb(std::string_view text);

/// Names in lower case.
using Headers = std::map<std::string, std::string, std::less<>>;
using Fields = std::map<std::string, std::string, std::less<>>;

/// Who asks: the token that was presented. `name` is the actor of events.
struct Identity {
    TokenId token;
    std::string name;
    Right right = Right::viewer;
};

/// A body that went to a file instead of memory (upload.h). The file is complete and synced, but under a passing name:
/// it is gone with the last copy of `publish`, unless that was called.
struct ReceivedFile {
    std::string path;  ///< its name once it is published
    Bytes size;
    std::string sha256;
    std::function<Result<void>()> publish;  ///< gives it its name, replacing what was there; any thread
};

struct Request {
    Verb verb = Verb::get;
    std::string path;  ///< as sent (still percent-encoded), without the query
    Fields query;
    Headers headers;
    Fields params;  ///< from the route's template
    std::string body;
    std::optional<ReceivedFile> file;
    std::string peer;  ///< address without port; "local" for a unix socket
    std::string id;    ///< names this request in logs, answers and the audit log
    std::string operation;
    Identity identity;

    [[nodiscard]] std::string_view header(std::string_view name) const;
    [[nodiscard]] std::string_view param(std::string_view name) const;
    [[nodiscard]] std::string_view query_or(std::string_view name, std::string_view otherwise) const;
};

/// Where a streamed answer goes. `write` fails once the peer is gone, is too slow, or the server ends.
class Stream {
  public:
    virtual ~Stream() = default;
    virtual Task<> write(std::string text) = 0;
    [[nodiscard]] virtual bool stopping() const = 0;
    /// Called (once) when the server begins to stop or the connection ends, so that whoever waits wakes up.
    virtual void on_stop(std::function<void()> wake) = 0;
};

struct Frame {
    std::string bytes;
    bool text = false;
};

/// A WebSocket after its handshake. One reader and one writer at a time.
class WebSocket {
  public:
    virtual ~WebSocket() = default;
    /// The next message; nothing when the peer closed.
    virtual Task<std::optional<Frame>> read() = 0;
    virtual Task<> write(Frame frame) = 0;
    virtual Task<> close(std::uint16_t code, std::string reason) = 0;
    /// Ends both directions at once.
    virtual void abort() = 0;
};

struct Response {
    int status = 200;
    Headers headers;
    std::shared_ptr<const std::string> body;  ///< shared with the row's cache
    std::function<Task<>(std::shared_ptr<Stream>)> stream;
    std::function<Task<>(std::shared_ptr<WebSocket>)> upgrade;
    JobId job;                              ///< for the audit log
    std::optional<std::string> remembered;  ///< what a reused Idempotency-Key gets where the body has a secret
};

[[nodiscard]] Response json_response(int status, std::string body);
[[nodiscard]] Response json_response(int status, std::shared_ptr<const std::string> body);
[[nodiscard]] Response no_content();

[[nodiscard]] std::string_view reason_phrase(int status);
/// Status line and header of the answer, to its empty line.
[[nodiscard]] std::string head_of(const Request& request, const Response& response, bool keep_alive);
/// %41 -> A; '+' is a space only in a query. Errors: invalid_argument.
[[nodiscard]] Result<std::string> percent_decode(std::string_view text, bool plus_is_space);
[[nodiscard]] Result<Fields> parse_query(std::string_view text);

}  // namespace ballast::api
