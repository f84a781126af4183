// The migrate call, which blocks a connection of its own, and the watching of libvirt's job over the control
// connection. Both only make events.
#include <algorithm>

#include <boost/describe/enum_to_string.hpp>
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/migrate/move.h"

namespace ballast::jobs {

using drivers::MigrationProgress;
using drivers::MigrationStatus;
using migration::MigrationEventKind;

namespace {

/// After the source's job has gone, the call returns within milliseconds, unless it hangs.
constexpr Milliseconds patience_with_a_call{3'000};

int percent_of(const MigrationProgress& progress) {
    if (progress.total.count() <= 0) return 0;
    return static_cast<int>(std::clamp((1.0 - progress.remaining / progress.total) * 90.0, 0.0, 90.0));
}

/// The round that ended when QEMU's iteration `progress.iteration` began.
MigrationRound round_before(const MigrationProgress& progress) {
    return {.round = progress.iteration - 1,
            .at = progress.elapsed,
            .sent = progress.sent,
            .remaining = progress.remaining,
            .throughput = progress.throughput,
            .dirty_pages_per_second = progress.dirty_pages_per_second};
}

MigrationEventKind event_of(MigrationStatus status) {
    switch (status) {
        case MigrationStatus::setup:
            return MigrationEventKind::job_setup;
        case MigrationStatus::active:
            return MigrationEventKind::job_active;
        case MigrationStatus::post_copy:
            return MigrationEventKind::switched;
        case MigrationStatus::post_copy_paused:
            return MigrationEventKind::post_copy_failed;
        case MigrationStatus::none:
        case MigrationStatus::completed:
        case MigrationStatus::failed:
        case MigrationStatus::cancelled:
            return MigrationEventKind::job_lost;
    }
    std::unreachable();
}

}  // namespace

boost::asio::awaitable<void> Move::call(drivers::MigrationRequest request) {
    const auto self = shared_from_this();
    const Result<void> outcome = co_await source_->migration().migrate(std::move(request));
    calling_ = false;
    resuming_ = false;
    call_returned_ = run_->services().clock->now();
    if (!outcome) call_error_ = outcome.error();
    post(MigrationEventKind::call_returned, outcome ? "the call returned" : outcome.error().chain());
}

bool Move::is_on_the_way() const {
    const MigrationPhase phase = row()->phase;
    using enum MigrationPhase;
    return phase == setup || phase == push || phase == stop_and_copy || phase == pull;
}

migration::PushSample Move::sample_of(const MigrationProgress& progress) const {
    return {.elapsed = since_call(),
            .remaining = progress.remaining,
            .total = progress.total,
            .throughput = progress.throughput,
            .dirty_pages_per_second = progress.dirty_pages_per_second,
            .page_size = progress.page_size,
            .round = progress.iteration,
            .round_ended = progress.iteration > std::max(1, iteration_),
            .throttle = progress.throttle,
            .disk_remaining = progress.disk_remaining,
            .downtime_limit = migration::downtime_limit_of(*row(), memo(), limits_)};
}

void Move::report(const MigrationProgress& progress) {
    const auto migration = row();
    Json data{{"phase", boost::describe::enum_to_string(migration->phase, "")},
              {"mode", boost::describe::enum_to_string(migration->mode, "")},
              {"round", progress.iteration},
              {"elapsed_ms", progress.elapsed.count()},
              {"sent_bytes", progress.sent.count()},
              {"remaining_bytes", progress.remaining.count()},
              {"total_bytes", progress.total.count()},
              {"throughput_bytes_per_second", progress.throughput.count()},
              {"dirty_pages_per_second", progress.dirty_pages_per_second},
              {"throttle_percent", progress.throttle}};
    const auto end = migration::forecast_end(*migration, sample_of(progress));
    const bool a_round_has_ended = progress.iteration > 1 || migration->phase != MigrationPhase::push;
    if (a_round_has_ended) data["converges"] = end.converges;  // before, nothing says what is dirtied meanwhile
    if (end.left) data["left_ms"] = end.left->count();
    const std::string text = fmt::format("round {}: {} sent, {} left, {}", progress.iteration, progress.sent,
                                         progress.remaining, progress.throughput);
    run_->report(percent_of(progress), text, &data);
}

/// At most one thing at a time, and only within the terms: migration/steer.h decides.
void Move::steer(const MigrationProgress& progress, const std::optional<MigrationRound>& ended) {
    Migration migration = *row();
    if (migration.phase != MigrationPhase::push || !memo().given_up.empty()) return;
    if (ended) migration.rounds.push_back(*ended);
    auto steering = migration::steer(
        migration, sample_of(progress), migration::can_switch(migration), run_->services().clock->now(),
        {.switch_cost = limits_.switch_cost, .socket = limits_.socket, .overrun = limits_.overrun});
    if (steering.act == migration::SteeringAct::none) return;
    post({.kind = MigrationEventKind::steered,
          .detail = steering.reason,
          .steering = std::move(steering),
          .at = since_call()});
}

void Move::look_at_push(const MigrationProgress& progress) {
    throttle_ = std::max(throttle_, progress.throttle);
    std::optional<MigrationRound> ended;
    if (progress.iteration > std::max(1, iteration_)) ended = round_before(progress);
    if (row()->phase == MigrationPhase::setup) post(MigrationEventKind::job_active);
    if (ended) post({.kind = MigrationEventKind::round_ended, .round = ended, .compression = progress.compression});
    steer(progress, ended);
    iteration_ = std::max(iteration_, progress.iteration);
}

/// A pull that moves nothing, without an error, is paused so that it can be resumed: TCP alone would wait for minutes.
void Move::look_at_pull(const MigrationProgress& progress) {
    const Timestamp now = run_->services().clock->now();
    if (!switched_) switched_ = now;
    if (!pull_moved_ || progress.remaining != pull_left_) {
        pull_left_ = progress.remaining;
        pull_moved_ = now;
        return;
    }
    if (now - *pull_moved_ < run_->services().settings.pull_stall) return;
    pull_moved_.reset();
    post(MigrationEventKind::stalled, fmt::format("nothing was pulled for {}, {} are left",
                                                  to_string(run_->services().settings.pull_stall), progress.remaining));
}

/// The call has not returned, and the source shows no job: not begun yet, or its end is on the way. In the pull that
/// end may never come: a target's libvirtd (9.0) whose source died can wait for memory for ever.
void Move::await_call() {
    if (row()->phase != MigrationPhase::pull) return;
    const Timestamp now = run_->services().clock->now();
    if (!job_gone_) job_gone_ = now;
    if (now - *job_gone_ < patience_with_a_call) return;
    job_gone_.reset();
    post(MigrationEventKind::source_gone, "the source shows no migration any more, and the call has not returned");
}

/// One look at the job.
Task<> Move::watch_once() {
    const Result<MigrationProgress> seen = co_await source_->migration().progress(vm_);
    const bool absent = !seen && seen.error().code() == Code::not_found;
    if (!seen && !(absent && calling_)) co_return std::unexpected(seen.error());
    const MigrationProgress progress = seen.value_or(MigrationProgress{});
    if (progress.sent.count() > 0) last_progress_ = progress;
    if (!is_on_the_way()) co_return Result<void>{};
    const MigrationEventKind kind = event_of(progress.status);
    if (kind == MigrationEventKind::job_lost && calling_) {
        await_call();
        co_return Result<void>{};
    }
    job_gone_.reset();
    if (kind == MigrationEventKind::post_copy_failed && resuming_)
        co_return Result<void>{};  // as it was before the resume; if that fails, its call returns
    if (kind == MigrationEventKind::job_active || kind == MigrationEventKind::switched) report(progress);
    if (kind == MigrationEventKind::job_active)
        look_at_push(progress);
    else if (kind != MigrationEventKind::job_setup)
        post(kind);
    if (kind == MigrationEventKind::switched) look_at_pull(progress);
    co_return Result<void>{};
}

/// The guest's stop and going on are dated by the hosts' events: libvirt keeps no downtime of a post-copy.
void Move::take_hint(const drivers::DriverEvent& event) {
    const Timestamp now = run_->services().clock->now();
    const std::string_view detail = event.detail;
    if (event.host == from_ && !guest_stopped_ && detail.starts_with("suspended")) guest_stopped_ = now;
    if (event.host == to_ && guest_stopped_ && !guest_went_on_ && detail.starts_with("resumed")) guest_went_on_ = now;
    if (event.host == from_) look_.notify();
}

/// Four times a second, and whenever the hypervisor says that a round, the job or the domain's state has changed.
boost::asio::awaitable<void> Move::watch() {
    const auto self = shared_from_this();
    const auto hints = run_->services().hosts->subscribe([weak = weak_from_this()](const drivers::DriverEvent& event) {
        const auto move = weak.lock();
        if (move && event.vm == move->vm_) move->take_hint(event);
    });
    const auto rounds = row()->rounds;
    iteration_ = rounds.empty() ? 0 : rounds.back().round + 1;
    while (is_on_the_way()) {
        const Result<void> seen = co_await watch_once();
        if (!seen && !calling_ && is_on_the_way()) post(MigrationEventKind::job_lost, seen.error().message());
        co_await look_.wait(run_->services().settings.progress_interval);
    }
    watching_ = false;
}

}  // namespace ballast::jobs
