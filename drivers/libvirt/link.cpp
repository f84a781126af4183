// The part of the executor that looks after the link: deadlines, pace, loss and reopening. Runs on the supervisor's
// thread.

#include <algorithm>
#include <thread>

#include "drivers/libvirt/executor.h"

namespace ballast::drivers::libvirt {

void Executor::tick() {
    std::vector<DriverEvent> events;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_) return;
        const auto now = Clock::now();
        expire(now);
        expire_jobs(now);
        advance(now, events);
        events.insert(events.begin(), unsent_.begin(), unsent_.end());
        unsent_.clear();
    }
    for (const auto& event : events) sink_(event);
}

/// Ends the waiting of what is past its deadline. A call that had not begun is known not to have been done.
void Executor::expire(Clock::time_point now) {
    std::erase_if(queue_, [&](const CallPtr& call) {
        if (now < call->deadline) return false;
        call->fail(Error(
            Code::unavailable,
            fmt::format("can't {}: the host was too busy to begin it in time; nothing was done", call->spec.what)));
        return true;
    });
    for (const auto& one : running_) {
        if (one.call->overdue || now < one.call->deadline) continue;
        one.call->overdue = true;
        ++overdue_;
        ++one.lane->overdue;
        --one.lane->workers;
        one.call->fail(Error(Code::deadline_exceeded,
                             fmt::format("the host did not {} in time: the outcome is unknown, read again before any "
                                         "retry",
                                         one.call->spec.what)));
        std::erase_if(queue_, [&](const CallPtr& waiting) {
            if (one.call->spec.domain.empty() || waiting->spec.domain != one.call->spec.domain) return false;
            waiting->fail(Error(Code::unavailable, fmt::format("can't {}: an earlier call for this domain is overdue",
                                                               waiting->spec.what)));
            return true;
        });
    }
    if (lane_ && lane_->overdue > tuning_.overdue_limit)
        give_up(fmt::format("{} calls are overdue: the connection is replaced", lane_->overdue), now);
    add_worker_if_needed();
}

void Executor::expire_jobs(Clock::time_point now) {
    for (const auto& call : jobs_) {
        if (now < call->deadline) continue;
        call->deadline = Clock::time_point::max();
        call->dropped = !call->running;
        call->fail(
            call->running
                ? Error(Code::deadline_exceeded,
                        fmt::format("the host did not {} in time: the outcome is unknown", call->spec.what))
                : Error(Code::unavailable,
                        fmt::format("can't {}: the host did not open another connection in time", call->spec.what)));
    }
}

/// Leaves the control connection: what waits fails, what runs returns on its own. Overdue threads keep the connection
/// alive as long as they need it; its closing is done by a thread of its own.
void Executor::give_up(const std::string& reason, Clock::time_point now) {
    for (const auto& call : queue_)
        call->fail(Error(Code::unavailable, fmt::format("can't {}: {}; nothing was done", call->spec.what, reason)));
    queue_.clear();
    if (!lane_) return;
    constexpr std::chrono::seconds proven{10};  // a connection that dies sooner counts as one more failure
    if (now - lane_->opened > proven) failures_ = 0;
    lane_->retired = true;
    lane_.reset();
    pinging_ = false;
    open_at_ = now + next_backoff();
    set_link(LinkState::unreachable, reason);
    work_.notify_all();
}

void Executor::advance(Clock::time_point now, std::vector<DriverEvent>& events) {
    if (lane_) {
        if (const auto why = lane_->connection->end_reason(); !why.empty()) give_up(why, now);
    }
    if (opened_) {
        auto opened = std::move(*opened_);
        opened_.reset();
        install(std::move(opened), now, events);
    }
    if (opening_ && link_ == LinkState::connecting && now - opening_since_ > target_.connect_timeout)
        set_link(LinkState::unreachable,
                 fmt::format("opening the connection takes longer than {}: libvirtd accepts but "
                             "does not answer",
                             to_string(target_.connect_timeout)));
    if (!lane_ && !opening_ && now >= open_at_ && overdue_ < tuning_.overdue_total) open_in_background();
    if (lane_) {
        watch_pace(now);
        ping_if_quiet(now);
    }
}

void Executor::open_in_background() {
    opening_ = true;
    opening_since_ = Clock::now();
    std::thread([self = shared_from_this()] {
        auto opened = self->open_one();
        if (opened && self->watch_) (*opened)->before_close(self->watch_((*opened)->get()));
        {
            const std::scoped_lock lock(self->mutex_);
            self->opening_ = false;
            if (!self->closed_) self->opened_ = std::move(opened);
        }
        Supervisor::wake();
    }).detach();
}

void Executor::install(Result<std::shared_ptr<Connection>> opened, Clock::time_point now,
                       std::vector<DriverEvent>& events) {
    if (!opened) {
        open_at_ = now + next_backoff();
        return set_link(LinkState::unreachable, opened.error().message());
    }
    lane_ = std::make_shared<Lane>();
    lane_->connection = std::move(*opened);
    lane_->opened = now;
    last_answer_ = now;
    set_link(LinkState::up, "connected");
    events.push_back({.kind = DriverEvent::Kind::inventory_changed,
                      .host = target_.id,
                      .vm = {},
                      .link = LinkState::up,
                      .number = 0,
                      .detail = "connected: list everything again"});
}

/// `slow`: a call that is not about one domain takes long. One domain's overdue call says nothing about its host.
void Executor::watch_pace(Clock::time_point now) {
    const auto late = std::find_if(running_.begin(), running_.end(), [&](const Running& one) {
        return one.lane == lane_ && one.call->spec.domain.empty() && !one.call->spec.expected_slow &&
               now - one.call->begun > tuning_.slow_after;
    });
    if (late == running_.end()) return set_link(LinkState::up, "answers in time again");
    set_link(LinkState::slow, fmt::format("the host has not answered for more than {}: {}",
                                          to_string(tuning_.slow_after), late->call->spec.what));
}

/// Asks a quiet host something small, so that `slow` does not wait for somebody to need the host.
void Executor::ping_if_quiet(Clock::time_point now) {
    if (pinging_ || now - last_answer_ < tuning_.ping_after) return;
    pinging_ = true;
    auto ping = std::make_shared<Call>();
    ping->spec.what = "answer a ping";
    ping->fail = [self = weak_from_this()](const Error&) {  // called with the lock held, as every fail is
        if (const auto alive = self.lock()) alive->pinging_ = false;
    };
    ping->run = [self = weak_from_this()](const Connection& connection) {
        unsigned long version = 0;
        static_cast<void>(virConnectGetLibVersion(connection.get(), &version));
        const auto alive = self.lock();
        if (!alive) return;
        const std::scoped_lock lock(alive->mutex_);
        alive->pinging_ = false;
    };
    ping->begun = now;
    ping->deadline = now + target_.call_timeout;
    queue_.push_front(std::move(ping));
    add_worker_if_needed();
    work_.notify_all();
}

void Executor::set_link(LinkState state, std::string reason) {
    if (link_ == state) {
        if (state != LinkState::up) reason_ = std::move(reason);
        return;
    }
    link_ = state;
    reason_ = std::move(reason);
    unsent_.push_back(
        {.kind = DriverEvent::Kind::link, .host = target_.id, .vm = {}, .link = state, .number = 0, .detail = reason_});
}

/// Doubles from first_backoff to last_backoff, with a quarter of jitter either way, so that a fleet does not come back
/// in step.
Milliseconds Executor::next_backoff() {
    constexpr int most_doublings = 10;
    const auto doubled = tuning_.first_backoff * (1 << std::min(failures_++, most_doublings));
    const auto base = std::min(doubled, tuning_.last_backoff);
    std::uniform_real_distribution<double> jitter(0.75, 1.25);
    return Milliseconds(static_cast<std::int64_t>(static_cast<double>(base.count()) * jitter(random_)));
}

}  // namespace ballast::drivers::libvirt
