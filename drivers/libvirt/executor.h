#pragma once
// One host's calls. Decides when a call runs, when its waiting ends, and when a connection is opened or given up:
//  - the control lane: at most 4 calls in flight, one per domain; a domain with an overdue call is unresponsive:
//    further calls for it are `unavailable` at once. The first connection carries the events and one call, further
//    ones are opened as calls overlap: **one call per connection**, because libvirt's client before 10.1 leaves a poll
//    source that points into the stack of a thread that has left when calls share a connection, and crashes
//    (seen here with 9.0: SIGSEGV in virNetClientIOEventFD; and the calls that share it hang when keepalive fails);
//  - a deadline ends the waiting, not the call. An overdue thread is replaced; with more than 4 overdue calls the
//    lane is retired and a fresh one opened;
//  - one extra connection per running job, at most 8, each on its own thread, carrying only that blocking call.
// Never: two opens of one host at a time; waiting for a thread; libvirt under its lock.
// Thread rule: every function may be called from any thread and none blocks. Calls own what they touch, so that an
// overdue one may outlive the host it belonged to.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/libvirt/connection.h"
#include "drivers/libvirt/supervisor.h"
#include "drivers/libvirt/waiter.h"

namespace ballast::drivers::libvirt {

/// What a call is, for its place in the queue and for its messages.
struct CallSpec {
    std::string what;            ///< "start domain x": completes "can't …"
    VmId domain{};               ///< empty: not about one domain
    Milliseconds deadline{0};    ///< 0: the host's call_timeout; for a job: none
    bool expected_slow = false;  ///< a long run says nothing about the host (pool refresh, large uploads)
};

struct Tuning {
    int calls_in_flight = 4;
    int overdue_limit = 4;   ///< per lane; then it is retired
    int overdue_total = 16;  ///< over all connections of the host; then no fresh one is opened until some return
    int job_connections = 8;
    std::size_t queue_limit = 1'000;
    Milliseconds slow_after{4'000};
    Milliseconds ping_after{3'000};
    Milliseconds first_backoff{200};
    Milliseconds last_backoff{30'000};
    KeepAlive keep_alive{};
};

/// Registers for events on a fresh connection; what it returns undoes that.
using Watch = std::function<std::function<void(virConnectPtr)>(virConnectPtr)>;

class Executor : public Supervised, public std::enable_shared_from_this<Executor> {
  public:
    template <class T>
    using Work = std::function<Result<T>(virConnectPtr)>;

    [[nodiscard]] static std::shared_ptr<Executor> start(HostTarget target, Uri uri, EventSink sink, Watch watch,
                                                         Tuning tuning = {});

    /// Runs `work` on the control connection.
    template <class T>
    [[nodiscard]] static Task<T> call(std::shared_ptr<Executor> self, CallSpec spec, Work<T> work) {
        return await_settled<T>([self = std::move(self), spec = std::move(spec),
                                 work = std::move(work)](std::shared_ptr<Waiter<T>> waiter) mutable {
            self->submit(make_call(std::move(spec), std::move(work), std::move(waiter)));
        });
    }

    /// Runs `work` on a connection and a thread of its own.
    template <class T>
    [[nodiscard]] static Task<T> job(std::shared_ptr<Executor> self, CallSpec spec, Work<T> work) {
        return await_settled<T>([self = std::move(self), spec = std::move(spec),
                                 work = std::move(work)](std::shared_ptr<Waiter<T>> waiter) mutable {
            self->begin_job(make_call(std::move(spec), std::move(work), std::move(waiter)));
        });
    }

    [[nodiscard]] LinkState link() const;
    [[nodiscard]] const HostTarget& target() const { return target_; }
    /// Pending calls end with `unavailable`; no event is sent any more.
    void close();
    void tick() override;

  private:
    using Clock = std::chrono::steady_clock;

    struct Call {
        CallSpec spec;
        std::function<void(const Connection&)> run;  ///< does the work and settles the waiter
        std::function<void(Error)> fail;             ///< settles the waiter, if nobody has yet
        Clock::time_point begun{};                   ///< queued, then started
        Clock::time_point deadline = Clock::time_point::max();
        bool running = false;
        bool overdue = false;
        bool dropped = false;  ///< failed before it ran: must not run any more
    };
    using CallPtr = std::shared_ptr<Call>;

    /// The control lane: its first connection, and the threads that take calls, each with a connection to itself.
    struct Lane {
        std::shared_ptr<Connection> connection;  ///< carries the events, and the calls of one thread
        bool connection_taken = false;
        Clock::time_point opened;
        int workers = 0;  ///< threads that may take calls, idle ones included, overdue ones not
        int idle = 0;
        int overdue = 0;
        bool retired = false;
    };
    using LanePtr = std::shared_ptr<Lane>;

    struct Running {
        CallPtr call;
        LanePtr lane;
    };

    Executor(HostTarget target, Uri uri, EventSink sink, Watch watch, Tuning tuning);

    template <class T>
    static CallPtr make_call(CallSpec spec, Work<T> work, std::shared_ptr<Waiter<T>> waiter);
    template <class T>
    static Result<T> guarded(const Work<T>& work, const Connection& connection);
    static Error lost(const CallSpec& spec, const Connection& connection, const Error& cause);

    void submit(CallPtr call);
    void begin_job(CallPtr call);
    void run_job(const CallPtr& call);
    [[nodiscard]] Result<std::shared_ptr<Connection>> open_one();
    void open_in_background();

    // All below: with mutex_ held.
    [[nodiscard]] Result<void> check_ready(const CallSpec& spec) const;
    [[nodiscard]] bool is_busy(const VmId& domain) const;
    [[nodiscard]] bool is_unresponsive(const VmId& domain) const;
    [[nodiscard]] CallPtr take(const Lane& lane);
    void add_worker_if_needed();
    void run_lane(LanePtr lane);
    [[nodiscard]] std::shared_ptr<Connection> seat(std::unique_lock<std::mutex>& lock, Lane& lane);
    void serve(std::unique_lock<std::mutex>& lock, const LanePtr& lane, std::shared_ptr<Connection>& own);
    void finish(const Running& done);
    void expire(Clock::time_point now);
    void expire_jobs(Clock::time_point now);
    void give_up(const std::string& reason, Clock::time_point now);
    void install(Result<std::shared_ptr<Connection>> opened, Clock::time_point now, std::vector<DriverEvent>& events);
    void watch_pace(Clock::time_point now);
    void ping_if_quiet(Clock::time_point now);
    void advance(Clock::time_point now, std::vector<DriverEvent>& events);
    void set_link(LinkState state, std::string reason);
    [[nodiscard]] Milliseconds next_backoff();

    const HostTarget target_;
    const Uri uri_;
    const EventSink sink_;
    const Watch watch_;
    const Tuning tuning_;

    std::mutex open_gate_;  ///< held while a connection is being opened, by opening threads only

    mutable std::mutex mutex_;
    std::condition_variable work_;
    LanePtr lane_;
    std::deque<CallPtr> queue_;
    std::vector<Running> running_;
    std::vector<CallPtr> jobs_;
    int overdue_ = 0;
    bool closed_ = false;
    bool opening_ = false;
    std::optional<Result<std::shared_ptr<Connection>>> opened_;
    Clock::time_point opening_since_{};
    Clock::time_point open_at_{};
    Clock::time_point last_answer_{};
    bool pinging_ = false;
    int failures_ = 0;
    LinkState link_ = LinkState::connecting;
    std::string reason_ = "the first connection is being opened";
    std::vector<DriverEvent> unsent_;
    std::mt19937 random_;
};

/// Work runs on bare threads: an exception (out of memory) must end as an error, not the process.
template <class T>
Result<T> Executor::guarded(const Work<T>& work, const Connection& connection) {
    try {
        return work(connection.get());
    } catch (const std::exception& thrown) {
        return ballast::fail(Code::internal, "the call failed: {}", thrown.what());
    }
}

template <class T>
Executor::CallPtr Executor::make_call(CallSpec spec, Work<T> work, std::shared_ptr<Waiter<T>> waiter) {
    auto call = std::make_shared<Call>();
    call->spec = std::move(spec);
    call->fail = [waiter](Error error) { waiter->settle(std::unexpected(std::move(error))); };
    call->run = [waiter, spec = call->spec, work = std::move(work)](const Connection& connection) {
        Result<T> result = guarded(work, connection);
        if (!result && !connection.is_alive()) result = std::unexpected(lost(spec, connection, result.error()));
        waiter->settle(std::move(result));
    };
    return call;
}

}  // namespace ballast::drivers::libvirt
