#include "daemon/jobs/migrate/lane_queue.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/json_impl.h"
#include "migration/forecast.h"
#include "migration/machine.h"

namespace ballast::jobs {
namespace {

constexpr Milliseconds look_again{5'000};

/// What a migration that runs is still expected to need, by its forecast and its last round.
migration::RunningMove running_move(const Migration& row, Timestamp now) {
    migration::RunningMove move{.id = row.id, .from = row.from, .to = row.to, .remaining = row.memory, .left = {}};
    const auto forecast = parse_as<migration::Forecast>(row.forecast.text, "forecast");
    if (!forecast) return move;
    const auto& mode = migration::of_mode(*forecast, row.mode);
    const auto elapsed = std::chrono::duration_cast<Milliseconds>(now - row.started);
    move.left = std::max(Milliseconds(0), mode.total.likely - elapsed);
    move.remaining = row.rounds.empty() ? mode.bytes.likely : row.rounds.back().remaining;
    return move;
}

}  // namespace

LaneQueue::LaneQueue(const Services& services)
    : store_(services.store), clock_(services.clock), settings_(services.settings) {}

Task<> LaneQueue::wait_turn(RunPtr run, migration::QueuedMove move) {
    const JobId id = move.id;
    const auto entry = std::make_shared<Entry>(std::move(run), std::move(move));
    entries_[id] = entry;
    changed();
    while (!entry->granted) {
        if (entry->run->cancel_requested()) {
            leave(id);
            co_return fail(Code::cancelled, "cancelled while it waited for a migration lane");
        }
        co_await entry->turn.wait(look_again);
    }
    co_return Result<void>{};
}

void LaneQueue::leave(const JobId& job) {
    if (entries_.erase(job) != 0) changed();
}

std::vector<migration::RunningMove> LaneQueue::running() const {
    std::vector<migration::RunningMove> running;
    const Timestamp now = clock_->now();
    store_->snapshot()->migrations.for_each([&](const Migration& row) {
        if (!migration::has_ended(row.phase)) running.push_back(running_move(row, now));
    });
    const auto stands = [&](const JobId& id) {
        return std::ranges::find(running, id, &migration::RunningMove::id) != running.end();
    };
    for (const auto& [id, entry] : entries_)
        if (entry->granted && !stands(id))
            running.push_back({.id = id,
                               .from = entry->move.from,
                               .to = entry->move.to,
                               .remaining = entry->move.bytes,
                               .left = entry->move.duration});
    return running;
}

std::vector<migration::QueuedMove> LaneQueue::waiting() const {
    std::vector<migration::QueuedMove> waiting;
    for (const auto& [id, entry] : entries_)
        if (!entry->granted) waiting.push_back(entry->move);
    return waiting;
}

migration::LaneLimits LaneQueue::limits() const {
    return {.per_host_out = settings_.outgoing_migrations,
            .per_host_in = settings_.incoming_migrations,
            .per_link = settings_.migrations_per_link,
            .cluster = settings_.migrations_in_cluster};
}

migration::LinkSpeeds LaneQueue::speeds() const {
    migration::LinkSpeeds speeds;
    store_->snapshot()->hosts.for_each([&](const Host& host) {
        speeds.names[host.id] = host.name;
        if (host.settings.link_speed) speeds.hosts[host.id] = *host.settings.link_speed;
    });
    return speeds;
}

void LaneQueue::changed() {
    if (entries_.empty()) return;
    const auto plan = migration::plan_lanes(running(), waiting(), limits(), speeds(), clock_->now());
    for (const JobId& id : plan.start)
        if (const auto found = entries_.find(id); found != entries_.end()) found->second->granted = true;
    report(plan);
    for (const auto& [id, entry] : entries_)
        if (entry->granted || entry->run->cancel_requested()) entry->turn.notify();
}

void LaneQueue::report(const migration::LanePlan& plan) {
    int position = 0;
    const Timestamp now = clock_->now();
    for (const migration::MoveEta& eta : plan.queue) {
        ++position;
        const auto found = entries_.find(eta.id);
        if (found == entries_.end() || found->second->granted) continue;
        const auto seconds_until = [&](Timestamp time) {
            return std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(time - now).count());
        };
        const std::string text =
            fmt::format("queued as number {}: {}; starts in about {} s", position, eta.waits, seconds_until(eta.start));
        if (found->second->said == text) continue;
        found->second->said = text;
        const Json data{{"phase", "queued"},
                        {"queue",
                         {{"position", position},
                          {"start", to_json(eta.start)},
                          {"end", to_json(eta.end)},
                          {"late", eta.late},
                          {"waits", eta.waits}}},
                        {"left_ms", std::chrono::duration_cast<Milliseconds>(eta.end - now).count()}};
        found->second->run->report(1, text, &data);
    }
}

QueueView LaneQueue::view() const {
    QueueView view;
    const auto busy = running();
    const auto plan = migration::plan_lanes(busy, waiting(), limits(), speeds(), clock_->now());
    view.running = static_cast<int>(busy.size());
    if (!busy.empty() || !plan.queue.empty()) view.done = plan.done;
    for (const migration::MoveEta& eta : plan.queue) {
        const auto found = entries_.find(eta.id);
        if (found == entries_.end()) continue;
        const int position = static_cast<int>(view.queued.size()) + 1;
        view.queued.push_back({.job = eta.id, .vm = found->second->run->vm(), .eta = eta, .position = position});
    }
    return view;
}

}  // namespace ballast::jobs
