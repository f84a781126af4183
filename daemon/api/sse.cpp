#include "daemon/api/sse.h"

#include <deque>
#include <map>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/try.h"
#include "daemon/api/auth.h"
#include "daemon/api/metrics.h"

namespace ballast::api {
namespace {

namespace asio = boost::asio;
constexpr int replay_page = 500;
constexpr std::size_t frames_per_write = 64;

Text frame_of(std::uint64_t seq, std::string_view name, std::string_view data) {
    std::string frame;
    if (seq != 0) frame += fmt::format("id: {}\n", seq);
    if (!name.empty()) frame += fmt::format("event: {}\n", name);
    frame += fmt::format("data: {}\n\n", data);
    return std::make_shared<const std::string>(std::move(frame));
}

StreamEventPtr render(const Event& event) {
    return std::make_shared<const StreamEvent>(StreamEvent{.seq = event.seq,
                                                           .kind = event.kind,
                                                           .subject_kind = event.subject_kind,
                                                           .subject_id = event.subject_id,
                                                           .vm = {},
                                                           .frame = frame_of(event.seq, "", event_text(event))});
}

StreamEventPtr render(const jobs::Progress& progress) {
    const Json data{{"job", progress.job.str()},
                    {"vm", progress.vm.str()},
                    {"percent", progress.percent},
                    {"text", progress.text},
                    {"data", Json::parse(progress.data.text, nullptr, false)},
                    {"time", to_string(progress.time)}};
    return std::make_shared<const StreamEvent>(StreamEvent{.seq = 0,
                                                           .kind = "progress",
                                                           .subject_kind = "job",
                                                           .subject_id = progress.job.str(),
                                                           .vm = progress.vm.str(),
                                                           .frame = frame_of(0, "progress", dump(data))});
}

class StoreEventHub final : public EventHub, public std::enable_shared_from_this<StoreEventHub> {
  public:
    void open(const Context& context) {
        const auto weak = weak_from_this();
        store_ = context.store->subscribe(context.loop, [weak](const std::vector<Event>& events) {
            if (const auto self = weak.lock()) self->take(events);
        });
        if (context.progress)
            progress_ = context.progress->subscribe([weak](const jobs::Progress& progress) {
                const auto self = weak.lock();
                if (self && !self->listeners_.empty()) self->publish(render(progress));
            });
    }

    [[nodiscard]] std::shared_ptr<void> subscribe(Listener listener) override {
        auto handle = std::make_shared<Listener>(std::move(listener));
        listeners_[handle.get()] = handle;
        return handle;
    }

    void close() override {
        store_.reset();
        progress_.reset();
    }

  private:
    void take(const std::vector<Event>& events) {
        for (const Event& event : events)
            if (!listeners_.empty()) publish(render(event));
    }

    void publish(const StreamEventPtr& event) {
        for (auto at = listeners_.begin(); at != listeners_.end();) {
            const auto listener = at->second.lock();
            if (listener) (*listener)(event);
            at = listener ? std::next(at) : listeners_.erase(at);
        }
    }

    std::unique_ptr<store::Subscription> store_;
    std::shared_ptr<void> progress_;
    std::map<const Listener*, std::weak_ptr<Listener>> listeners_;
};

/// What one client has yet to get. The timer is the heartbeat, and is cancelled to wake the writer.
struct Queue {
    explicit Queue(const asio::any_io_executor& loop) : timer(loop) {}
    std::deque<StreamEventPtr> events;
    bool overflowed = false;
    asio::steady_timer timer;
};

struct Client {
    std::shared_ptr<Stream> out;
    ContextPtr context;
    EventFilter filter;
    Identity identity;
    std::shared_ptr<Queue> queue;
    std::shared_ptr<void> subscription;
    std::uint64_t sent = 0;  ///< the log's number up to which the client is served
};
using ClientPtr = std::shared_ptr<Client>;

void push(Queue& queue, const StreamEventPtr& event, std::size_t backlog) {
    if (queue.events.size() >= backlog) {
        queue.overflowed = true;
        queue.events.clear();
    } else if (!queue.overflowed) {
        queue.events.push_back(event);
    }
    queue.timer.cancel();
}

void subscribe(const ClientPtr& client) {
    const auto& context = client->context;
    client->queue = std::make_shared<Queue>(context->loop);
    client->subscription =
        context->events->subscribe([queue = client->queue, filter = client->filter,
                                    backlog = context->limits.stream_backlog](const StreamEventPtr& event) {
            if (passes(*event, filter)) push(*queue, event, backlog);
        });
    client->out->on_stop([queue = client->queue] { queue->timer.cancel(); });
}

/// Tells a client whose last event is no longer in the log (or never was in this one) to read the lists again.
Task<> tell_gap(ClientPtr client) {
    const auto head = client->context->store->health().seq;
    store::EventQuery oldest;
    oldest.after = client->sent;
    oldest.limit = 1;
    BALLAST_CO_TRY(const auto next, co_await client->context->store->events(oldest));
    const bool pruned = !next.empty() && next.front().seq > client->sent + 1;
    if (!pruned && client->sent <= head) co_return Result<void>{};
    const auto first = next.empty() ? head : next.front().seq;
    std::string text = *frame_of(0, "gap", fmt::format("{{\"after\":{},\"first\":{}}}", client->sent, first));
    client->sent = std::min(client->sent, head);
    auto sent = co_await client->out->write(std::move(text));
    co_return sent;
}

/// The log up to its end. What happens meanwhile is in the queue; if that overflows, the log has it, too.
Task<> replay(ClientPtr client) {
    BALLAST_CO_CHECK(co_await tell_gap(client));
    store::EventQuery query;
    query.limit = replay_page;
    query.subject_kind = client->filter.subject_kind;
    query.subject_id = client->filter.subject_id;
    query.kind_prefix = client->filter.kind_prefix;
    while (!client->out->stopping()) {
        query.after = client->sent;
        client->queue->overflowed = false;
        BALLAST_CO_TRY(const auto events, co_await client->context->store->events(query));
        if (events.empty() && !client->queue->overflowed) co_return Result<void>{};
        std::string text;
        for (const auto& event : events) text += *render(event)->frame;
        if (!events.empty()) client->sent = events.back().seq;
        if (!text.empty()) BALLAST_CO_CHECK(co_await client->out->write(std::move(text)));
    }
    co_return Result<void>{};
}

std::string take_frames(Client& client) {
    std::string text;
    for (std::size_t i = 0; i < frames_per_write && !client.queue->events.empty(); ++i) {
        const auto event = client.queue->events.front();
        client.queue->events.pop_front();
        if (event->seq != 0 && event->seq <= client.sent) continue;  // the replay had it
        if (event->seq != 0) client.sent = event->seq;
        text += *event->frame;
    }
    return text;
}

bool still_allowed(const Client& client) {
    const auto token = client.context->store->snapshot()->tokens.find_ptr(client.identity.token);
    return token != nullptr && is_active(*token, client.context->clock->now());
}

Task<> follow(ClientPtr client) {
    while (!client->out->stopping()) {
        if (client->queue->overflowed) {
            client->context->metrics->count_cut_stream();
            auto cut =
                *frame_of(0, "cut",
                          fmt::format("{{\"reason\":\"too slow: more than {} events behind\",\"last_event_id\":{}}}",
                                      client->context->limits.stream_backlog, client->sent));
            auto sent = co_await client->out->write(std::move(cut));
            co_return sent;
        }
        std::string text = take_frames(*client);
        if (!text.empty()) {
            BALLAST_CO_CHECK(co_await client->out->write(std::move(text)));
            continue;
        }
        if (!client->queue->events.empty()) continue;
        client->queue->timer.expires_after(client->context->limits.heartbeat);
        const auto [woken] = co_await client->queue->timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (!still_allowed(*client)) co_return fail(Code::unauthenticated, "the token has ended");
        if (!woken) BALLAST_CO_CHECK(co_await client->out->write(": heartbeat\n\n"));
    }
    co_return Result<void>{};
}

/// Counts the stream for as long as it lives.
struct Counted {
    explicit Counted(std::shared_ptr<Metrics> counter) : metrics(std::move(counter)) { metrics->count_stream(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { metrics->count_stream(-1); }
    std::shared_ptr<Metrics> metrics;
};

Task<> run(ClientPtr client, bool from_log) {
    const Counted counted(client->context->metrics);
    subscribe(client);
    BALLAST_CO_CHECK(co_await client->out->write(": ballast events\nretry: 2000\n\n"));
    if (from_log) BALLAST_CO_CHECK(co_await replay(client));
    auto ended = co_await follow(client);
    co_return ended;
}

}  // namespace

std::shared_ptr<EventHub> make_event_hub(const Context& context) {
    auto hub = std::make_shared<StoreEventHub>();
    hub->open(context);
    return hub;
}

bool passes(const StreamEvent& event, const EventFilter& filter) {
    const bool about_vm = filter.subject_kind == "vm" && !event.vm.empty();
    if (!filter.subject_kind.empty() && event.subject_kind != filter.subject_kind && !about_vm) return false;
    const std::string& id = about_vm ? event.vm : event.subject_id;
    if (!filter.subject_id.empty() && id != filter.subject_id) return false;
    return event.seq == 0 || event.kind.starts_with(filter.kind_prefix);
}

std::string event_text(const Event& event) {
    if (event.subject_kind != "token") return to_json_text(event);
    Json json = to_json(event);
    if (json["after"].is_object()) json["after"].erase("sha256");
    return dump(json);
}

Response stream_events(const Request& request, ContextPtr context, EventFilter filter,
                       std::optional<std::uint64_t> after) {
    Response response;
    response.headers["content-type"] = "text/event-stream";
    response.headers["cache-control"] = "no-store";
    const auto identity = request.identity;
    response.stream = [context, filter, identity, after](std::shared_ptr<Stream> out) -> Task<> {
        auto client = std::make_shared<Client>();
        client->out = std::move(out);
        client->context = context;
        client->filter = filter;
        client->identity = identity;
        client->sent = after.value_or(0);
        return run(std::move(client), after.has_value());
    };
    return response;
}

}  // namespace ballast::api
