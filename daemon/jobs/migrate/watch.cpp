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

int percent_of(const MigrationProgress& progress) {
    if (progress.total.count() <= 0) return 0;
    return static_cast<int>(std::clamp((1.0 - progress.remaining / progress.total) * 90.0, 0.0, 90.0));
}

MigrationRound round_of(const MigrationProgress& progress) {
    return {.round = progress.iteration,
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
    if (!outcome) call_error_ = outcome.error();
    post(MigrationEventKind::call_returned, outcome ? "the call returned" : outcome.error().chain());
}

bool Move::is_on_the_way() const {
    const MigrationPhase phase = row()->phase;
    using enum MigrationPhase;
    return phase == setup || phase == push || phase == stop_and_copy || phase == pull;
}

void Move::report(const MigrationProgress& progress) {
    const Json data{{"phase", boost::describe::enum_to_string(row()->phase, "")},
                    {"round", progress.iteration},
                    {"elapsed_ms", progress.elapsed.count()},
                    {"sent_bytes", progress.sent.count()},
                    {"remaining_bytes", progress.remaining.count()},
                    {"total_bytes", progress.total.count()},
                    {"throughput_bytes_per_second", progress.throughput.count()},
                    {"dirty_pages_per_second", progress.dirty_pages_per_second}};
    const std::string text = fmt::format("round {}: {} sent, {} left, {}", progress.iteration, progress.sent,
                                         progress.remaining, progress.throughput);
    run_->report(percent_of(progress), text, &data);
}

/// One look at the job. `round` and `limits_set` belong to the watching coroutine's frame, which outlives this call.
Task<> Move::watch_once(int* round, bool* limits_set) {
    BALLAST_CO_TRY(const MigrationProgress progress, co_await source_->migration().progress(vm_));
    if (!is_on_the_way()) co_return Result<void>{};
    const MigrationEventKind kind = event_of(progress.status);
    if (kind == MigrationEventKind::job_lost && calling_)
        co_return Result<void>{};  // not begun yet, or its end is on the way
    if (kind != MigrationEventKind::job_active) {
        post(kind);
        co_return Result<void>{};
    }
    report(progress);
    if (!*limits_set) {
        const Result<void> set = co_await source_->migration().set_downtime_limit(vm_, row()->terms.max_downtime);
        *limits_set = set.has_value();
    }
    const bool new_round = progress.iteration > *round;
    *round = std::max(*round, progress.iteration);
    if (new_round)
        post({.kind = MigrationEventKind::round_ended, .detail = {}, .round = round_of(progress), .verdict = {}});
    else if (row()->phase == MigrationPhase::setup)
        post(MigrationEventKind::job_active);
    co_return Result<void>{};
}

boost::asio::awaitable<void> Move::watch() {
    const auto self = shared_from_this();
    int round = row()->rounds.empty() ? 0 : row()->rounds.back().round;
    bool limits_set = false;
    while (is_on_the_way()) {
        const Result<void> seen = co_await watch_once(&round, &limits_set);
        if (!seen && !calling_ && is_on_the_way()) post(MigrationEventKind::job_lost, seen.error().message());
        const Result<void> slept = co_await run_->sleep(run_->services().settings.progress_interval);
        if (!slept) break;
    }
    watching_ = false;
}

}  // namespace ballast::jobs
