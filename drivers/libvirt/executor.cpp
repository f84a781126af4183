#include "drivers/libvirt/executor.h"

#include <algorithm>
#include <thread>

namespace ballast::drivers::libvirt {

Executor::Executor(HostTarget target, Uri uri, EventSink sink, Watch watch, Tuning tuning)
    : target_(std::move(target)),
      uri_(std::move(uri)),
      sink_(std::move(sink)),
      watch_(std::move(watch)),
      tuning_(tuning),
      random_(std::random_device{}()) {}

std::shared_ptr<Executor> Executor::start(HostTarget target, Uri uri, EventSink sink, Watch watch, Tuning tuning) {
    std::shared_ptr<Executor> made(
        new Executor(std::move(target), std::move(uri), std::move(sink), std::move(watch), tuning));
    Supervisor::add(made);
    return made;
}

LinkState Executor::link() const {
    const std::scoped_lock lock(mutex_);
    return link_;
}

Error Executor::lost(const CallSpec& spec, const Connection& connection, const Error& cause) {
    return while_doing(Error(Code::deadline_exceeded, cause.message()),
                       "the connection was lost while the host was to {} ({}): the outcome is unknown, read again "
                       "before any retry",
                       spec.what, connection.end_reason());
}

void Executor::close() {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    const auto now = Clock::now();
    for (const auto& call : jobs_) {
        call->dropped = !call->running;
        call->fail(
            Error(Code::unavailable,
                  fmt::format("the link was closed; whether the host went on to {} is unknown", call->spec.what)));
    }
    for (const auto& one : running_)
        one.call->fail(Error(
            Code::unavailable,
            fmt::format("the link was closed while the host was to {}: the outcome is unknown", one.call->spec.what)));
    give_up("the link was closed", now);
    link_ = LinkState::unreachable;
    unsent_.clear();
}

// ---- control calls

Result<void> Executor::check_ready(const CallSpec& spec) const {
    if (closed_) return ballast::fail(Code::unavailable, "can't {}: the link to the host was closed", spec.what);
    if (!lane_) return ballast::fail(Code::unavailable, "can't {}: the host is not connected ({})", spec.what, reason_);
    return {};
}

void Executor::submit(CallPtr call) {
    const std::scoped_lock lock(mutex_);
    if (auto ready = check_ready(call->spec); !ready) return call->fail(std::move(ready).error());
    if (is_unresponsive(call->spec.domain))
        return call->fail(Error(Code::unavailable,
                                fmt::format("can't {}: an earlier call for this domain is overdue; it is asked again "
                                            "once that one has returned",
                                            call->spec.what)));
    if (queue_.size() >= tuning_.queue_limit)
        return call->fail(
            Error(Code::resource_exhausted,
                  fmt::format("can't {}: {} calls are waiting for this host already", call->spec.what, queue_.size())));
    call->begun = Clock::now();
    call->deadline = call->begun + (call->spec.deadline.count() > 0 ? call->spec.deadline : target_.call_timeout);
    queue_.push_back(std::move(call));
    add_worker_if_needed();
    work_.notify_all();
}

bool Executor::is_busy(const VmId& domain) const {
    return !domain.empty() && std::any_of(running_.begin(), running_.end(),
                                          [&](const Running& one) { return one.call->spec.domain == domain; });
}

bool Executor::is_unresponsive(const VmId& domain) const {
    return !domain.empty() && std::any_of(running_.begin(), running_.end(), [&](const Running& one) {
        return one.call->overdue && one.call->spec.domain == domain;
    });
}

Executor::CallPtr Executor::take(const Lane& lane) {
    if (lane.retired) return nullptr;
    const auto at =
        std::find_if(queue_.begin(), queue_.end(), [this](const CallPtr& call) { return !is_busy(call->spec.domain); });
    if (at == queue_.end()) return nullptr;
    CallPtr call = std::move(*at);
    queue_.erase(at);
    return call;
}

void Executor::add_worker_if_needed() {
    if (!lane_ || queue_.empty() || lane_->idle > 0) return;
    if (lane_->workers >= tuning_.calls_in_flight) return;
    ++lane_->workers;
    std::thread([self = shared_from_this(), lane = lane_] { self->run_lane(lane); }).detach();
}

/// The connection that a thread may use alone: the lane's first, or one of its own; null when none can be had now.
std::shared_ptr<Connection> Executor::seat(std::unique_lock<std::mutex>& lock, Lane& lane) {
    if (!lane.connection_taken) {
        lane.connection_taken = true;
        return lane.connection;
    }
    lock.unlock();
    auto opened = open_one();
    lock.lock();
    return opened ? std::move(*opened) : nullptr;
}

/// A worker's life: takes calls until its lane is retired, or until it comes back from an overdue call and its place is
/// taken. One that finds no connection leaves; the next beat tries again.
void Executor::run_lane(LanePtr lane) {
    std::unique_lock lock(mutex_);
    if (auto own = seat(lock, *lane)) {
        serve(lock, lane, own);
        if (own == lane->connection) lane->connection_taken = false;
        lock.unlock();  // the last release of a connection is not for the lock
    } else {
        --lane->workers;
    }
}

void Executor::serve(std::unique_lock<std::mutex>& lock, const LanePtr& lane, std::shared_ptr<Connection>& own) {
    while (!lane->retired && own->end_reason().empty()) {
        const CallPtr call = take(*lane);
        if (!call) {
            ++lane->idle;
            work_.wait(lock);
            --lane->idle;
            continue;
        }
        call->running = true;
        call->begun = Clock::now();
        running_.push_back({call, lane});
        add_worker_if_needed();
        lock.unlock();
        call->run(*own);
        lock.lock();
        finish({call, lane});
        if (!call->overdue) continue;
        if (lane->workers >= tuning_.calls_in_flight) return;
        ++lane->workers;
    }
    --lane->workers;
}

void Executor::finish(const Running& done) {
    std::erase_if(running_, [&](const Running& one) { return one.call == done.call; });
    if (done.call->overdue) {
        --done.lane->overdue;
        --overdue_;
    }
    if (done.lane == lane_) last_answer_ = Clock::now();
    work_.notify_all();
}

// ---- jobs

void Executor::begin_job(CallPtr call) {
    const std::scoped_lock lock(mutex_);
    if (auto ready = check_ready(call->spec); !ready) return call->fail(std::move(ready).error());
    if (std::cmp_greater_equal(jobs_.size(), tuning_.job_connections))
        return call->fail(Error(Code::resource_exhausted,
                                fmt::format("can't {}: {} long jobs run on this host already, which is the limit; wait "
                                            "for one to end",
                                            call->spec.what, jobs_.size())));
    call->begun = Clock::now();
    call->deadline = call->begun + target_.connect_timeout;  // of the opening; run_job sets that of the work
    jobs_.push_back(call);
    std::thread([self = shared_from_this(), call] { self->run_job(call); }).detach();
}

void Executor::run_job(const CallPtr& call) {
    auto opened = open_one();
    std::unique_lock lock(mutex_);
    if (opened && !call->dropped) {
        call->running = true;
        call->deadline =
            call->spec.deadline.count() > 0 ? Clock::now() + call->spec.deadline : Clock::time_point::max();
        lock.unlock();
        call->run(**opened);
        lock.lock();
    } else if (!opened) {
        call->fail(while_doing(std::move(opened).error(), "can't {}", call->spec.what));
    }
    std::erase(jobs_, call);
}

Result<std::shared_ptr<Connection>> Executor::open_one() {
    const std::scoped_lock gate(open_gate_);
    return Connection::open(target_.uri, uri_, tuning_.keep_alive);
}

}  // namespace ballast::drivers::libvirt
