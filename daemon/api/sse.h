#pragma once
// The event stream. One subscription to the store feeds every client; an event is rendered once. A client first gets
// the log from its Last-Event-ID on, then what happens; progress comes between, without an id. A consumer that is too
// slow is told so and cut: it comes back with the id of the last event it has. Loop thread only.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/api/http.h"
#include "daemon/api/row_cache.h"
#include "daemon/api/services.h"

namespace ballast::api {

struct EventFilter {
    std::string subject_kind;  ///< empty: any
    std::string subject_id;
    std::string kind_prefix;  ///< "vm."
};

/// One event as it goes out.
struct StreamEvent {
    std::uint64_t seq = 0;  ///< 0: progress
    std::string kind;
    std::string subject_kind;
    std::string subject_id;
    std::string vm;  ///< of progress: the VM that the job works on
    Text frame;
};
using StreamEventPtr = std::shared_ptr<const StreamEvent>;

class EventHub {
  public:
    using Listener = std::function<void(const StreamEventPtr&)>;
    virtual ~EventHub() = default;
    /// Calls the listener until the handle is dropped.
    [[nodiscard]] virtual std::shared_ptr<void> subscribe(Listener listener) = 0;
    /// No more events come.
    virtual void close() = 0;
};

[[nodiscard]] std::shared_ptr<EventHub> make_event_hub(const Context& context);

[[nodiscard]] bool passes(const StreamEvent& event, const EventFilter& filter);

/// The event as JSON, without what is nobody's business (hashes of secrets).
[[nodiscard]] std::string event_text(const Event& event);

/// The answer that streams events from after `after` on; nothing: from now on.
[[nodiscard]] Response stream_events(const Request& request, ContextPtr context, EventFilter filter,
                                     std::optional<std::uint64_t> after);

}  // namespace ballast::api
